"""The JSON Schema of tariff files, made from their model, for editors and other programs."""

import json

from cloud.tariffs.tariff import Tariff

SCHEMA_FILE = "tariff.schema.json"


def schema_text() -> str:
    """Give the schema as the text of its file; the file beside the built-in tariffs equals it."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Hutong tariff",
        **{key: value for key, value in _schema().items() if key != "title"},
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema() -> dict[str, object]:
    return Tariff.model_json_schema()
