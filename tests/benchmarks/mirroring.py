"""Lines of our encoder through influxdb-client, beside influxdb-client's own Point objects."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import SYNCHRONOUS
from pydantic import SecretStr

from cloud.mirror.influx_server import InfluxServer
from cloud.mirror.lines import MOST_LINES, Sample, Series, encode
from cloud.mirror.service import send
from protocols.delivery.records import Reading
from tests.benchmarks.measure import Figure, measured
from tests.benchmarks.readings import estate

PROJECT, GATEWAY = "p-bench", "gw-bench"


def run() -> list[Figure]:
    """Return the cost per reading of encoding and of posting to a server that keeps nothing."""
    rows = estate(50, 600)
    samples = [
        Sample(
            Series(PROJECT, GATEWAY, row.device, row.point, row.uom),
            row.exponent,
            row.count,
            0,
            row.read_at_us,
        )
        for row in rows
        if row.count is not None
    ]
    return [_encoded(samples), _points(rows), _sent(samples), _points_sent(rows)]


def _encoded(samples: list[Sample]) -> Figure:
    with measured("mirror", "our lines", len(samples)) as figure:
        lines = encode(samples)
    figure.more = f"{sum(map(len, lines)) / len(lines):.0f} B/line"
    return figure


def _points(rows: list[Reading]) -> Figure:
    with measured("mirror", "influxdb-client's Point to a line", len(rows)) as figure:
        for row in rows:
            _point(row).to_line_protocol()
    return figure


def _sent(samples: list[Sample]) -> Figure:
    with _server() as url:
        server = InfluxServer(url, token=SecretStr("t"), org="o", bucket="b")
        with measured("mirror", "our lines, posted (gzip, loopback)", len(samples)) as figure:
            sent, reason = send(server, samples)
    assert (sent, reason) == (len(samples), "")
    figure.more = f"{1e6 / figure.wall_us:,.0f} lines/s"
    return figure


def _points_sent(rows: list[Reading]) -> Figure:
    with _server() as url:
        client = InfluxDBClient(url, "t", org="o", enable_gzip=True)
        api = client.write_api(write_options=SYNCHRONOUS)
        with measured("mirror", "Points, posted (gzip, loopback)", len(rows)) as figure:
            for start in range(0, len(rows), MOST_LINES):
                points = [_point(row) for row in rows[start : start + MOST_LINES]]
                api.write("b", "o", points)
    figure.more = f"{1e6 / figure.wall_us:,.0f} lines/s"
    return figure


def _point(row: Reading) -> Point:
    made = Point("energy").tag("device", row.device).tag("gateway", GATEWAY)
    made = made.tag("point", row.point).tag("project", PROJECT).tag("quality", "good")
    made = made.tag("uom", row.uom).field("value", row.value)
    return made.time(row.read_at_us * 1000)


class _Taker(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Taker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
