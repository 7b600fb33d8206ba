"""Documents into PDF by Typst: data goes in as JSON, never as markup."""

import io
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final, Literal

import msgspec
import pylopdf_fonts_zh_cn
import segno
import typst

from cloud.errors import CloudError
from cloud.printing.capitals import capital_yuan
from cloud.printing.documents import (
    Bill,
    Document,
    DunningLetter,
    PublicSheet,
    Receipt,
)

BUILT_IN: Final = Path(__file__).parent / "templates"
LOGOS: Final = ("logo.svg", "logo.png")

_TEMPLATES: Final[Mapping[type, str]] = {
    Bill: "bill.typ",
    Receipt: "receipt.typ",
    DunningLetter: "dunning.typ",
    PublicSheet: "sheet.typ",
}
# a document says nothing of when it was printed: the same data are the same bytes
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


class PrintError(CloudError):
    """A template that Typst refuses, or fonts that are not there."""


class Printer:
    """Compiles templates: the user's own in `templates`, else the built-in ones of that name."""

    def __init__(self, fonts: Path | None = None, templates: Path | None = None) -> None:
        folder = Path(pylopdf_fonts_zh_cn.__file__).parent if fonts is None else fonts
        for key, given in (("HUTONG_FONTS", folder), ("HUTONG_TEMPLATES", templates)):
            if given is not None and not given.is_dir():
                msg = f"{key}: {given}: allowed is a folder"
                raise PrintError(msg)
        self._lock = Lock()
        self._root = BUILT_IN if templates is None else _merged(templates)
        if templates is not None:
            weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        self._logo = next((name for name in LOGOS if (self._root / name).is_file()), "")
        families = typst.Fonts(
            include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder)]
        )
        if not families.families():
            msg = f"HUTONG_FONTS: {folder}: no font in it; allowed are .otf and .ttf files"
            raise PrintError(msg)
        self._compiler = typst.Compiler(
            root=str(self._root), font_paths=families, ignore_system_fonts=True
        )

    def pdf(self, document: Document) -> bytes:
        """Return a document as PDF; the same data give the same bytes."""
        return self._compiled(document, "pdf")[0]

    def pages(self, document: Document, *, ppi: int = 110) -> list[bytes]:
        """Return a document's pages as PNG, for a look at them."""
        return self._compiled(document, "png", ppi=ppi)

    def _compiled(
        self, document: Document, form: Literal["pdf", "png"], *, ppi: int | None = None
    ) -> list[bytes]:
        name = _TEMPLATES[type(document)]
        inputs = {"data": data_of(document).decode(), "logo": self._logo}
        # a compiler keeps its inputs: two threads must not change them
        with self._lock:
            try:
                made = self._compiler.compile(
                    input=str(self._root / name),
                    format=form,
                    ppi=ppi,
                    sys_inputs=inputs,
                    timestamp=_EPOCH,
                )
            except typst.TypstError as error:
                msg = f"{name}: {error.diagnostic or error.message}"
                raise PrintError(msg) from error
        pages = made if isinstance(made, list) else [made]
        return [page for page in pages if page is not None]


@cache
def printer_of(fonts: Path | None, templates: Path | None) -> Printer:
    """Return the printer of these folders: it has read its fonts once."""
    return Printer(fonts, templates)


def data_of(document: Document) -> bytes:
    """Return a document as the JSON that templates read.

    Money in fen is written in yuan, total_fen is `total`, and `capital` in capitals.
    """
    shown = _shown(document)
    if isinstance(shown, dict):
        shown["capital"] = capital_yuan(document.total_fen)
        if isinstance(document, Bill | PublicSheet):
            shown["qr"] = _qr(document.evidence_url)
    return msgspec.json.encode(shown)


def _merged(templates: Path) -> Path:
    # what a template imports may be built in, or the user's own
    root = Path(tempfile.mkdtemp(prefix="hutong-templates-"))
    for source in (BUILT_IN, templates):
        shutil.copytree(source, root, dirs_exist_ok=True)
    return root


def _shown(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        names += [name for name, each in vars(type(value)).items() if isinstance(each, property)]
        return {
            name.removesuffix("_fen"): _yuan(getattr(value, name))
            if name.endswith("_fen")
            else _shown(getattr(value, name))
            for name in names
        }
    if isinstance(value, tuple):
        return [_shown(each) for each in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    return f"{value.year}-{value.month:02d}-{value.day:02d}" if isinstance(value, date) else value


def _yuan(fen: int) -> str:
    whole, part = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{whole:,}.{part:02d}"


def _qr(address: str) -> str:
    out = io.BytesIO()
    segno.make(address, error="m", micro=False).save(
        out, kind="svg", border=0, xmldecl=False, svgclass=None, lineclass=None
    )
    return out.getvalue().decode()
