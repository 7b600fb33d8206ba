"""Shipped dashboards: well formed, and every query finds rows that came through the mirror."""

from pathlib import Path
from typing import Literal

import msgspec
import pytest
import yaml
from sqlalchemy import Engine

from cloud.config import Settings
from cloud.mirror.service import Mirror
from cloud.work import Worker
from protocols.delivery.envelope import LANE_READINGS
from protocols.delivery.records import Quality, Reading
from tests.fixtures.delivery import START_US, OpenJournal, add_site, deliver, packed, reading
from tests.fixtures.victoria import VictoriaMetrics

FOLDER = Path(__file__).parents[2] / "docker" / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))
COLUMNS = 24
# of all that Grafana knows, the units that readings have
UNITS = {"none", "short", "s", "kwatth", "watt", "m3", "volt", "amp"}
# point, uom, exponent of what two meters tell
ELECTRIC = [
    ("energy_import", "kWh", -2),
    ("active_power", "W", 0),
    ("voltage_l1", "V", -1),
    ("current_l1", "A", -3),
]
WATER = [("volume", "m3", -3)]
HOURS = 3


class Source(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["prometheus"]
    uid: Literal["hutong"]


class Target(msgspec.Struct, forbid_unknown_fields=True):
    refId: str  # noqa: N815 - Grafana's name
    datasource: Source
    expr: str
    legendFormat: str  # noqa: N815 - Grafana's name


class Place(msgspec.Struct, forbid_unknown_fields=True):
    x: int
    y: int
    w: int
    h: int


class Defaults(msgspec.Struct, forbid_unknown_fields=True):
    unit: str


class Config(msgspec.Struct, forbid_unknown_fields=True):
    defaults: Defaults
    overrides: list[str]


class Panel(msgspec.Struct, forbid_unknown_fields=True):
    id: int
    title: str
    description: str
    type: Literal["stat", "timeseries"]
    datasource: Source
    gridPos: Place  # noqa: N815 - Grafana's name
    fieldConfig: Config  # noqa: N815 - Grafana's name
    options: dict[str, str]
    targets: list[Target]


class Variable(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    label: str
    type: Literal["query"]
    datasource: Source
    query: str
    definition: str
    refresh: int
    sort: int


class Templating(msgspec.Struct, forbid_unknown_fields=True):
    list: list[Variable]


class Annotations(msgspec.Struct, forbid_unknown_fields=True):
    list: list[str]


class Dashboard(msgspec.Struct, forbid_unknown_fields=True):
    uid: str
    title: str
    tags: list[str]
    schemaVersion: int  # noqa: N815 - Grafana's name
    version: int
    editable: bool
    timezone: Literal["browser"]
    refresh: str
    time: dict[Literal["from", "to"], str]
    templating: Templating
    annotations: Annotations
    panels: list[Panel]


def loaded(file: Path) -> Dashboard:
    return msgspec.json.decode(file.read_bytes(), type=Dashboard)


def is_bilingual(text: str) -> bool:
    return any("\u4e00" <= mark <= "\u9fff" for mark in text) and any(
        "a" <= mark <= "z" for mark in text
    )


def test_there_are_an_overview_and_a_day() -> None:
    assert [loaded(file).uid for file in FILES] == ["hutong-meter-day", "hutong-site"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_is_well_formed(file: Path) -> None:
    made = loaded(file)
    assert is_bilingual(made.title)
    assert len({panel.id for panel in made.panels}) == len(made.panels)
    cells: set[tuple[int, int]] = set()
    for panel in made.panels:
        assert is_bilingual(panel.title), panel.title
        assert panel.fieldConfig.defaults.unit in UNITS, panel.title
        assert panel.targets, panel.title
        assert panel.gridPos.x + panel.gridPos.w <= COLUMNS, panel.title
        own = {
            (panel.gridPos.x + across, panel.gridPos.y + down)
            for across in range(panel.gridPos.w)
            for down in range(panel.gridPos.h)
        }
        assert not cells & own, f"{panel.title} lies upon another"
        cells |= own


def test_the_provisioned_source_and_folder_are_those_of_the_dashboards() -> None:
    sources = yaml.safe_load((FOLDER / "provisioning/datasources/hutong.yaml").read_text("utf-8"))
    assert [(one["uid"], one["type"]) for one in sources["datasources"]] == [
        ("hutong", "prometheus")
    ]
    providers = yaml.safe_load((FOLDER / "provisioning/dashboards/hutong.yaml").read_text("utf-8"))
    path = providers["providers"][0]["options"]["path"]
    compose = yaml.safe_load((FOLDER.parent / "compose.yaml").read_text("utf-8"))
    services = compose["services"]
    assert f"./grafana/dashboards:{path}:ro" in services["grafana"]["volumes"]
    # both come only to who asks for them
    assert [services[name]["profiles"] for name in ("victoria", "grafana")] == [["grafana"]] * 2


def rows(device: str, points: list[tuple[str, str, int]]) -> list[Reading]:
    made = []
    for minute in range(HOURS * 60):
        for point, uom, exponent in points:
            # a doubtful one now and then
            quality = Quality.SUSPECT if minute % 50 == 49 else Quality.GOOD
            about = {"point": point, "uom": uom, "exponent": exponent, "quality": int(quality)}
            made.append(reading(minute, device, **about))
    return made


def test_every_query_finds_rows(
    sqlite_engine: Engine, victoria: VictoriaMetrics, open_journal: OpenJournal
) -> None:
    add_site(sqlite_engine, "gw-1")
    journal = open_journal()
    journal.append(LANE_READINGS, rows("e-1", ELECTRIC), seal_at_us=1)
    journal.append(LANE_READINGS, rows("w-1", WATER), seal_at_us=2)
    deliver(sqlite_engine, [packed(journal, seq) for seq in (1, 2)])
    Worker(sqlite_engine, Settings(auto_bill=False, influx_url="http://127.0.0.1")).step()
    assert Mirror(sqlite_engine, victoria.server()).step().lines == HOURS * 60 * 5
    victoria.flush()
    start_s = START_US // 1_000_000
    empty = []
    for file in FILES:
        for panel in loaded(file).panels:
            for target in panel.targets:
                asked = [
                    target.expr.replace("$project", "p-1").replace("$device", device)
                    for device in ("e-1", "w-1")
                ]
                assert "$" not in "".join(asked)
                found = [
                    row
                    for text in asked
                    for row in victoria.query(text, start_s, start_s + HOURS * 3600, 60)
                ]
                if not found:
                    empty.append((panel.title, target.expr))
    assert empty == []
