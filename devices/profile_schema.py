"""The JSON Schema of profile files, made from their model, for editors and other programs."""

import json

from devices.profile import Profile

SCHEMA_FILE = "profile.schema.json"


def schema_text() -> str:
    """The schema as the text of its file; the file in the profiles folder must equal it."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Hutong device profile",
        **{key: value for key, value in _schema().items() if key != "title"},
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema() -> dict[str, object]:
    return Profile.model_json_schema()
