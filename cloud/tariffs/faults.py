"""What is wrong with a tariff file: file, line, key path, value and what is allowed."""

import re
from collections.abc import Iterable, Sequence

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_LINE = re.compile(r"line (\d+)")
_SEGMENTS = re.compile(r": |\.| ")
_UNKNOWN_KEY = re.compile(r"unknown key ([^,;]+)[^;]*; (.*)", re.DOTALL)
_CODE_PATTERN = "a code of a-z, 0-9, _ and - that begins with a letter, at most 40 characters"
# what pydantic says of its own accord, in the words of this system; {} are of its context
_ALLOWED = {
    "bool_type": "allowed are true and false",
    "string_type": "allowed is text",
    "string_too_short": "allowed is text of {min_length} characters or more",
    "string_too_long": "allowed is text of {max_length} characters or less",
    "string_pattern_mismatch": f"allowed is {_CODE_PATTERN}",
    "int_type": "allowed is a whole number",
    "tuple_type": "allowed is a list",
    "dict_type": "allowed is a mapping",
    "model_type": "allowed is a mapping with its keys",
    "model_attributes_type": "allowed is a mapping with its keys",
    "too_short": "allowed is {min_length} or more, not {actual_length}",
    "greater_than": "allowed is a number above {gt}",
    "greater_than_equal": "allowed is a number of {ge} or more",
}


def faults_of(error: ValidationError, text: str, *, name: str) -> list[str]:
    """Give one `file:line: key: value: allowed` line per fault of a document."""
    root = _composed(text)
    lines: list[str] = []
    faults = error.errors(include_url=False)
    for fault in faults:
        if fault["type"] == "too_short" and _has_bad_items(fault["loc"], faults):
            continue
        node, path = _walk(root, fault["loc"])
        shown, why = repr(fault["input"]), fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "missing":
            shown, why = "missing", "this key is required"
        elif isinstance(fault["input"], dict | list | tuple | BaseModel):
            shown = ""
        if fault["type"] == "literal_error":
            why = f"allowed are {_listed(fault['ctx']['expected'])}"
        elif fault["type"] in _ALLOWED:
            why = _ALLOWED[fault["type"]].format(**fault.get("ctx", {}))
        elif fault["type"] == "value_error":
            if path and _child(node, why.partition(":")[0].partition(".")[0]) is not None:
                path, why = [], f"{'.'.join(path)}.{why}"
                node = _named(root, why)
            else:
                node = _named(node, why)
        where = name if node is None else f"{name}:{node.start_mark.line + 1}"
        lines.append(": ".join(part for part in (where, ".".join(path), shown, why) if part))
    return lines


def with_line(fault: str, *, name: str) -> str:
    """Put the line that a parser speaks of last beside the file of its fault."""
    lines = _LINE.findall(fault)
    if not lines or not fault.startswith(f"{name}: "):
        return fault
    told = fault.removeprefix(name).replace(' in "<unicode string>",', " at")
    return f"{name}:{lines[-1]}{told}"


def _has_bad_items(loc: tuple[int | str, ...], faults: Sequence[ErrorDetails]) -> bool:
    # items that are refused are not counted: the list itself is no fault
    return any(each["loc"][: len(loc)] == loc != each["loc"] for each in faults)


def _composed(text: str) -> yaml.Node | None:
    # JSON mostly is YAML; where it is not, faults go without their line
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None


def _walk(root: yaml.Node | None, loc: Iterable[int | str]) -> tuple[yaml.Node | None, list[str]]:
    # the deepest node there is, and the path in codes where items have them
    node, path, is_lost = root, list[str](), False
    for part in loc:
        if part == "[key]":
            continue
        child = None if is_lost else _child(node, part)
        is_lost = child is None
        code = _child(child, "code") if isinstance(part, int) else None
        path.append(code.value if isinstance(code, yaml.ScalarNode) else str(part))
        node = child if child is not None else node
    return node, path


def _named(node: yaml.Node | None, message: str) -> yaml.Node | None:
    # a fault that a whole mapping is told of begins with the path below it
    unknown = _UNKNOWN_KEY.fullmatch(message)
    if unknown is not None:
        return _key(node, unknown[1]) or node
    for segment in _SEGMENTS.split(message):
        child = _child(node, int(segment) if segment.isdecimal() else segment)
        if child is None:
            return node
        node = child
    return node


def _child(node: yaml.Node | None, part: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode):
        items: list[yaml.Node] = node.value
        if isinstance(part, int):
            return items[part] if part < len(items) else None
        for item in items:
            code = _child(item, "code")
            if isinstance(code, yaml.ScalarNode) and code.value == part:
                return item
    elif isinstance(node, yaml.MappingNode):
        values: list[yaml.Node] = [value for key, value in node.value if key.value == str(part)]
        return values[0] if values else None
    return None


def _key(node: yaml.Node | None, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    keys: list[yaml.Node] = [key for key, _ in pairs if key.value == name]
    return keys[0] if keys else None


def _listed(expected: str) -> str:
    return expected.replace("'", "").replace(" or ", ", ")
