"""The site of the gateway's benchmark: 100 meters of 10 values, each an endpoint of its own."""

from collections.abc import Sequence
from pathlib import Path

METERS = 100
VALUES = 10
COMMIT_S = 0.1


def write_site(folder: Path, ports: Sequence[int]) -> Path:
    """Write profile and gateway file for meters on these ports of loopback; the latter's path."""
    points = [
        f"  value_{n}: {{name: {{zh: 值{n}, en: Value {n}}}, address: {2 * n}, type: uint32,"
        f' uom: Wh, resolution: "1"{", billing: true" if n == 0 else ""}}}'
        for n in range(VALUES)
    ]
    (folder / "bench.yaml").write_text("\n".join([PROFILE, *points, ""]), encoding="utf-8")
    lines = ["gateway: gw-bench", f"poll: {{period_s: 1, commit_s: {COMMIT_S}}}", "buses:"]
    for number, port in enumerate(ports):
        lines.append(f"  - {{id: b-{number}, kind: modbus-tcp, host: 127.0.0.1, port: {port}}}")
    lines.append("devices:")
    lines += [
        f"  - {{id: e-{number}, bus: b-{number}, unit_id: 1, profile: bench.yaml}}"
        for number in range(len(ports))
    ]
    path = folder / "gateway.yaml"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


PROFILE = """id: bench
maker: Bench
model: Bench
medium: electric
source: [made for the benchmark]
function: 3
rules: {min_gap_ms: 0, holes: any}
points:"""
