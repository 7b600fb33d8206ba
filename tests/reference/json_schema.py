"""A small judge of JSON Schema: the keywords that the schema of tariffs may use, no others."""

import re
from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]
Misfits = Iterator[str]
TYPES = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": int | float,
    "object": dict,
    "string": str,
}
NOTES = {"$defs", "$schema", "default", "description", "format", "title"}


def misfits(root: Schema, schema: Schema, value: object, *, at: str = "") -> Misfits:
    """Yield what does not fit; ValueError for a keyword that is no JSON Schema."""
    for keyword, told in schema.items():
        if keyword in LIMITS:
            kind, is_wrong = LIMITS[keyword]
            if isinstance(value, kind) and is_wrong(value, told):
                yield f"{at}: {value!r}: {keyword} {told}"
        elif keyword in INNER:
            yield from INNER[keyword](root, schema, value, at)
        elif keyword not in NOTES:
            msg = f"{keyword} is no keyword that editors know"
            raise ValueError(msg)


def _any_of(root: Schema, schema: Schema, value: object, at: str) -> Misfits:
    if all(list(misfits(root, each, value, at=at)) for each in schema["anyOf"]):
        yield f"{at}: {value!r}: none of anyOf"


def _ref(root: Schema, schema: Schema, value: object, at: str) -> Misfits:
    target = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    yield from misfits(root, target, value, at=at)


def _properties(root: Schema, schema: Schema, value: object, at: str) -> Misfits:
    for key, inner in schema["properties"].items():
        if isinstance(value, dict) and key in value:
            yield from misfits(root, inner, value[key], at=f"{at}.{key}")


def _others(root: Schema, schema: Schema, value: object, at: str) -> Misfits:
    inner = schema["additionalProperties"]
    known = schema.get("properties", {}).keys() | _matching(schema, value)
    for key in value.keys() - known if isinstance(value, dict) else ():
        if inner is False:
            yield f"{at}.{key}: unknown"
        else:
            yield from misfits(root, inner, value[key], at=f"{at}.{key}")


def _matching(schema: Schema, value: object) -> set[str]:
    keys = value.keys() if isinstance(value, dict) else ()
    patterns = schema.get("patternProperties", {})
    return {key for key in keys for pattern in patterns if re.search(pattern, key)}


def _patterns(root: Schema, schema: Schema, value: object, at: str) -> Misfits:
    for pattern, inner in schema["patternProperties"].items():
        for key, each in value.items() if isinstance(value, dict) else ():
            if re.search(pattern, key):
                yield from misfits(root, inner, each, at=f"{at}.{key}")


def _items(root: Schema, schema: Schema, value: object, at: str) -> Misfits:
    for index, each in enumerate(value) if isinstance(value, list) else ():
        yield from misfits(root, schema["items"], each, at=f"{at}.{index}")


def _is_other(value: object, told: str) -> bool:
    is_flag = isinstance(value, bool) and told in {"integer", "number"}
    return is_flag or not isinstance(value, TYPES[told])


LIMITS: dict[str, tuple[Any, Callable[[Any, Any], bool]]] = {
    "type": (object, _is_other),
    "enum": (object, lambda value, told: value not in told),
    "pattern": (str, lambda value, told: not re.search(told, value)),
    "minLength": (str, lambda value, told: len(value) < told),
    "maxLength": (str, lambda value, told: len(value) > told),
    "minItems": (list, lambda value, told: len(value) < told),
    "minProperties": (dict, lambda value, told: len(value) < told),
    "minimum": (int | float, lambda value, told: value < told),
    "exclusiveMinimum": (int | float, lambda value, told: value <= told),
    "required": (dict, lambda value, told: bool(set(told) - value.keys())),
}
INNER: dict[str, Callable[[Schema, Schema, object, str], Misfits]] = {
    "anyOf": _any_of,
    "$ref": _ref,
    "properties": _properties,
    "additionalProperties": _others,
    "patternProperties": _patterns,
    "items": _items,
}
