"""The Chinese catalogue kept in step with templates and code: python -m cloud.web.catalogue."""

import io
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from cloud.web.i18n import CATALOGUE

_FOLDER: Final = Path(__file__).parent
_METHODS: Final = [("**/templates/**.html", "jinja2"), ("**.py", "python")]


def extracted() -> Catalog:
    """Return every message of templates and code, in the order of its first place."""
    catalogue = Catalog(project="Hutong", charset="utf-8")
    found = extract_from_dir(
        str(_FOLDER),
        method_map=_METHODS,
        options_map={"**/templates/**.html": {"newstyle_gettext": "true", "silent": "false"}},
    )
    for name, _, message, comments, context in found:
        catalogue.add(message, None, [(name, 0)], auto_comments=comments, context=context)
    return catalogue


def held() -> Catalog:
    """Return the committed Chinese catalogue."""
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="zh_CN", abort_invalid=True)


def updated() -> str:
    """Return the catalogue's text brought up to date: new messages empty, old ones gone."""
    catalogue = held() if CATALOGUE.exists() else Catalog(locale="zh_CN", charset="utf-8")
    before = catalogue.revision_date
    catalogue.update(extracted(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.header_comment = "# Chinese of the pages."
    catalogue.project, catalogue.version, catalogue.fuzzy = "Hutong", "1", False
    catalogue.revision_date = before
    text = io.BytesIO()
    write_po(text, catalogue, width=100, sort_by_file=True, omit_header=False, include_lineno=False)
    lines = text.getvalue().decode().splitlines(keepends=True)
    # dates would make every update a change
    dated = (
        '"POT-Creation-Date',
        '"PO-Revision-Date',
        '"Generated-By',
        '"Last-Translator',
        '"Report-',
        '"Language-Team',
    )
    return "".join(line for line in lines if not line.startswith(dated))


def untranslated() -> list[str]:
    """Return the messages that have no Chinese yet."""
    empty = []
    for message in held():
        texts = message.string if isinstance(message.string, tuple | list) else (message.string,)
        if message.id and not all(texts):
            empty.append(message.id if isinstance(message.id, str) else message.id[0])
    return empty


if __name__ == "__main__":
    CATALOGUE.write_text(updated(), encoding="utf-8")
