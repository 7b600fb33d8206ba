"""Templates to responses: one Jinja environment per language, strict headers on each page."""

from functools import cache
from pathlib import Path
from typing import Final

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cloud.web import assets, command_words, labels, read_reasons, reasons
from cloud.web.i18n import Language, translations_of
from cloud.web.visit import Guest, Visit

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'; img-src 'self' data:"
    ),
    "X-Content-Type-Options": "nosniff",
    # no-referrer would make browsers send Origin: null with our own forms
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@cache
def environment(language: Language) -> Environment:
    """Return the templates with the texts of a language."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    translations = translations_of(language)
    made.install_gettext_translations(  # type: ignore[attr-defined]  # added by the extension
        translations, newstyle=True
    )
    made.globals["asset"] = assets.address
    made.globals["labels"] = labels
    made.globals["command_words"] = command_words
    made.globals["read_reason_of"] = read_reasons.reason_of
    made.globals["sentence_of"] = reasons.sentence_of
    return made


def text(guest: Guest, template: str, **context: object) -> str:
    """Return a template's text for a reader."""
    made = environment(guest.language).get_template(template)
    person = guest.person if isinstance(guest, Visit) else None
    return made.render(visit=guest, f=guest.format, person=person, **context)


def page(guest: Guest, template: str, *, status: int = 200, **context: object) -> Response:
    """Return a page for a reader."""
    body = text(guest, template, **context)
    return Response(body, status, HEADERS, media_type="text/html; charset=utf-8")
