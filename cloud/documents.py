"""YAML and JSON documents read into strict models, with one clear line per fault."""

import json
import re
from collections.abc import Hashable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationError,
    model_validator,
)

_MAX_BYTES = 16 * 1024 * 1024
_DECIMAL = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)


class DocumentError(ValueError):
    """A document with faults: one line each, naming file, key, value and what is allowed."""

    def __init__(self, *faults: str) -> None:
        """Keep the faults apart, so that a program may print one per line."""
        super().__init__("\n".join(faults))
        self.faults = faults


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys by naming the allowed ones."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, value: object) -> object:
        if isinstance(value, dict):
            names = {field.alias or name for name, field in cls.model_fields.items()}
            unknown = sorted(str(key) for key in value if key not in names)
            if unknown:
                msg = f"unknown key {', '.join(unknown)}; allowed are {', '.join(sorted(names))}"
                raise ValueError(msg)
        return value


def exact_decimal(value: object) -> Decimal:
    """Turn a decimal string or a number that is no float into a Decimal; ValueError."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = format(value, "f")
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    msg = "allowed is a decimal number in quotes, such as '0.4883', with at most 18 decimals"
    raise ValueError(msg)


def _whole(value: object) -> object:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    return value


# Written out in full: 1E-8 would be no decimal to the next reader.
ExactDecimal = Annotated[
    Decimal,
    BeforeValidator(exact_decimal),
    PlainSerializer(lambda value: format(value, "f"), return_type=str, when_used="json"),
]
WholeNumber = Annotated[int, BeforeValidator(_whole)]
Model = TypeVar("Model", bound=BaseModel)


def read_text(path: Path) -> str:
    """Read a bounded UTF-8 text file; DocumentError where it cannot be."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            msg = f"{path}: larger than {_MAX_BYTES} bytes"
            raise DocumentError(msg)
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise DocumentError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{path}: not UTF-8 text at byte {error.start}"
        raise DocumentError(msg) from None


def parse_yaml(text: str, *, name: str) -> object:
    """YAML whose scalars stay text (only true, false and null are more); DocumentError."""
    try:
        document: object = yaml.load(text, Loader=_TextLoader)  # noqa: S506  # a SafeLoader below
    except yaml.YAMLError as error:
        msg = f"{name}: not YAML: {' '.join(str(error).split())}"
        raise DocumentError(msg) from None
    return document


def parse_json(text: str, *, name: str) -> object:
    """JSON whose numbers with a point stay exact decimals; DocumentError."""
    try:
        document: object = json.loads(
            text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_without_duplicates
        )
    except (ValueError, RecursionError) as error:
        msg = f"{name}: not JSON: {error}"
        raise DocumentError(msg) from None
    return document


def parse_model(model: type[Model], document: object, *, name: str) -> Model:
    """Validate a document; DocumentError with one `file: key: value: allowed` line per fault."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise DocumentError(*_faults(error, name)) from None


def _faults(error: ValidationError, name: str) -> list[str]:
    lines: list[str] = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"])
        value = fault["input"]
        if fault["type"] == "missing":
            shown, why = "missing", "this key is required"
        else:
            shown = "" if isinstance(value, dict | list | BaseModel) else repr(value)
            why = fault["msg"].removeprefix("Value error, ")
        lines.append(": ".join(part for part in (name, key, shown, why) if part))
    return lines


class _TextLoader(yaml.SafeLoader):
    """Keeps 0.4883, 22:00 and 2026-07-01 as the text somebody wrote, and refuses double keys."""


def _construct_mapping(loader: _TextLoader, node: yaml.MappingNode) -> dict[Hashable, object]:
    mapping: dict[Hashable, object] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str) or key in mapping:
            why = f"key {key!r} stands twice" if key in mapping else f"key {key!r} is not text"
            raise yaml.constructor.ConstructorError(None, None, why, key_node.start_mark)
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_KEPT_TAGS = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"}
_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_TextLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def _refuse(constant: str) -> object:
    msg = f"{constant} is not a number"
    raise ValueError(msg)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping: dict[str, object] = {}
    for key, value in pairs:
        if key in mapping:
            msg = f"key {key!r} stands twice"
            raise ValueError(msg)
        mapping[key] = value
    return mapping
