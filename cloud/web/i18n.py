"""Languages of the pages and their gettext catalogues, read from .po text at start."""

import io
from functools import cache
from pathlib import Path
from typing import Final, Literal

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

Language = Literal["zh", "en"]

DEFAULT: Final[Language] = "zh"
LANGUAGE_COOKIE: Final = "hutong_language"
LOCALES: Final[dict[Language, Locale]] = {"zh": Locale.parse("zh_CN"), "en": Locale("en")}
TAGS: Final[dict[Language, str]] = {"zh": "zh-CN", "en": "en"}
CATALOGUE: Final = Path(__file__).parent / "locale" / "zh_CN" / "LC_MESSAGES" / "messages.po"


def N_(message: str) -> str:  # noqa: N802  # gettext's own name for "translate this later"
    """Mark a string for the catalogue and return it as it is."""
    return message


def language_of(wanted: str | None) -> Language:
    """Return the language a cookie names, Chinese for anything unknown."""
    return "en" if wanted == "en" else DEFAULT


@cache
def translations_of(language: Language) -> NullTranslations:
    """Return the catalogue of a language; English is the source and needs none."""
    if language == "en":
        return NullTranslations()
    with CATALOGUE.open("rb") as file:
        catalogue = read_po(file, locale="zh_CN", abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
