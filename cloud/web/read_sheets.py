"""Workbooks of register reads: one to fill in on a round, and one of what was left out."""

from collections.abc import Sequence

from cloud.metering.file_reads import Outcome
from cloud.metering.manual_repository import Round
from cloud.metering.read_files import COLUMNS
from cloud.metering.round_queries import Place
from cloud.web import labels, read_reasons
from cloud.web.i18n import N_, translations_of
from cloud.web.visit import Visit
from cloud.workbooks.sheets import Column, Form, Sheet, to_xlsx
from protocols.delivery.records import instant


def round_book(visit: Visit, found: Round, places: Sequence[Place]) -> bytes:
    """Return a workbook to fill in: the meter points of a round with their last registers."""
    say = translations_of(visit.language).gettext
    columns = (
        Column(say(N_("Building")), width=12),
        Column(say(N_("Premise")), width=12),
        Column(say(N_("Kind")), width=8),
        _own(visit, "meter_point", 22),
        _own(visit, "meter", 18),
        Column(say(N_("Last register")), Form.QUANTITY, 14),
        Column(say(N_("Read on")), Form.DAY, 12),
        _own(visit, "register", 14),
        _own(visit, "read_at", 18),
        _own(visit, "note", 24),
    )
    rows = tuple(
        (
            visit.name(place.building, place.building_en),
            place.premise or place.name,
            say(labels.MEDIA.get(place.service, place.service)),
            place.id,
            place.meter.id if place.meter else "",
            place.meter.register if place.meter else None,
            instant(place.meter.read_at_us).astimezone(visit.zone).date() if place.meter else None,
            "",
            "",
            "",
        )
        for place in places
    )
    notes = (
        say(N_("Fill in the register; leave out what could not be read.")),
        say(N_("A row without a time counts from 00:00 of %(day)s."))
        % {"day": found.read_on.isoformat()},
    )
    title = f"{say(N_('Meter reading'))} {found.name}"
    return to_xlsx([Sheet(say(N_("Meter reading")), title, columns, rows, notes)], in_all="")


def left_out_book(visit: Visit, name: str, left_out: Sequence[Outcome]) -> bytes:
    """Return a workbook of the rows that were not stored, to be mended and sent again."""
    say = translations_of(visit.language).gettext
    columns = (
        Column(say(N_("Row")), Form.COUNT, 7),
        Column(say(N_("Reason")), width=52),
        _own(visit, "meter_point", 22),
        _own(visit, "meter", 18),
        _own(visit, "register", 14),
        _own(visit, "read_at", 18),
        _own(visit, "note", 24),
    )
    rows = tuple(
        (
            item.row.line,
            read_reasons.told(item.reason, item.exponent, visit.format),
            item.row.meter_point,
            item.row.meter,
            item.row.register,
            item.row.read_at,
            item.row.note,
        )
        for item in left_out
    )
    title = say(N_("Left out of %(name)s")) % {"name": name}
    return to_xlsx([Sheet(say(N_("Left out")), title, columns, rows)], in_all="")


def _own(visit: Visit, key: str, width: int) -> Column:
    # these titles are read again, whatever the language
    return Column(COLUMNS[key][1 if visit.language == "en" else 0], width=width)
