"""A reading round half walked, one that is closed, and an import: what readers' pages show."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.metering import reading_rounds
from cloud.metering.file_reads import Filing, file_reads
from cloud.metering.manual_repository import ManualRead
from cloud.metering.read_files import FileRow
from cloud.metering.round_queries import Place, places_of

ZONE = ZoneInfo("Asia/Shanghai")


def read_meters(connection: Connection, project: str, now_us: int) -> None:
    """Open two rounds, read some meters of each, close one; import a file with wrong rows."""
    today = datetime.fromtimestamp(now_us / 1e6, UTC).astimezone(ZONE).date()
    places = places_of(connection, project)
    routes: dict[str, list[str]] = {}
    for place in places:
        routes.setdefault(place.building, []).append(place.id)
    month = f"{today.year}年{today.month}月"
    shops = {"核对": [place.id for place in places[-3:]]}
    done = reading_rounds.open_round(
        connection, project, f"{month}商铺核对", shops, read_on=today, by="clerk"
    )
    for place in places[-3:]:
        _read(connection, done, place, 3, now_us)
    reading_rounds.close_round(connection, done, by="clerk", estimate=False, now_us=now_us)
    walked = reading_rounds.open_round(
        connection, project, f"{month}抄表", routes, read_on=today, by="clerk"
    )
    for number, place in enumerate(places[:7]):
        _read(connection, walked, place, 1 + number % 3, now_us)
    now = f"{datetime.fromtimestamp(now_us / 1e6, UTC).astimezone(ZONE):%Y-%m-%d %H:%M:%S}"
    rows = [
        FileRow(line, place.id, "", f"{_last(place) + Decimal(line):f}", now, "")
        for line, place in enumerate(places[8:14], 2)
    ]
    rows += [FileRow(8, "mp-nowhere", "", "1", now, ""), FileRow(9, places[8].id, "", "?", now, "")]
    filing = Filing(project, "十一月抄表.xlsx", "clerk")
    file_reads(connection, filing, rows, confirmed=True, now_us=now_us)


def _read(connection: Connection, round_id: int, place: Place, more: int, now_us: int) -> None:
    count = place.meter.count + more if place.meter else 0
    read = ManualRead(
        meter_point_id=place.id, read_at_us=now_us, count=count, taken_by="wang", note="表箱已锁好"
    )
    reading_rounds.take_in_round(connection, round_id, read, confirmed=True, now_us=now_us)


def _last(place: Place) -> Decimal:
    return place.meter.register if place.meter else Decimal(0)
