"""Strict reading of the YAML files people write, with errors that name file, key and value."""

import datetime as dt
import json
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from protocols.errors import ConfigError

_Model = TypeVar("_Model", bound=BaseModel)


class Strict(BaseModel):
    """A part of a file: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def load_yaml(path: Path, model: type[_Model]) -> _Model:
    """The file as its model; ConfigError with one line `file: key: value: allowed` per fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise ConfigError(message) from error
    try:
        # A subclass of SafeLoader: it only refuses more.
        data = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506
    except yaml.YAMLError as error:
        message = f"{path}: no valid YAML: {' '.join(str(error).split())}"
        raise ConfigError(message) from error
    try:
        # Strict JSON mode takes lists for tuples and text for dates, nothing looser.
        return model.model_validate_json(json.dumps(data, default=_plain))
    except ValidationError as error:
        raise ConfigError(*(f"{path}: {line}" for line in _faults(error))) from error


class _UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml where it is
    """Safe YAML that refuses a key given twice, where plain YAML keeps the last one silently."""

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - PyYAML's signature
    ) -> dict[object, object]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                problem = f"key {key!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return dict(super().construct_mapping(node, deep=deep))


def _faults(error: ValidationError) -> list[str]:
    lines = []
    found = error.errors(include_url=False)
    for fault in found:
        if fault["type"] == "too_short" and any(
            len(other["loc"]) > len(fault["loc"])
            and other["loc"][: len(fault["loc"])] == fault["loc"]
            for other in found
        ):
            continue  # it is short only because its items are at fault, and they are told
        key = ".".join(str(part) for part in fault["loc"]) or "(whole file)"
        value = repr(fault["input"])
        shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
        lines.append(f"{key}: {shown}: {fault['msg']}")
    return lines


def _plain(value: object) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    message = f"a {type(value).__name__} has no place in this file"
    raise TypeError(message)


_SHOWN = 80
