"""`make bench`: each section measures us and a peer in the same run and prints CPU per item."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks import (
    billing,
    catchup,
    cycle,
    delivery,
    edge_memory,
    gateway,
    journal,
    metering,
    mirroring,
    modbus,
    planning,
    printing,
    rating,
    rtu,
    state_machines,
    verifying,
)
from tests.benchmarks.measure import Figure

SECTIONS = {
    "modbus": modbus.run,
    "cycle": cycle.run,
    "rtu": rtu.run,
    "plan": planning.run,
    "gateway": gateway.run,
    "journal": journal.run,
    "ingest": delivery.run,
    "delivery": state_machines.run,
    "memory": edge_memory.run,
    "catchup": catchup.run,
    "mirror": mirroring.run,
    "metering": metering.run,
    "billing": billing.run,
    "rating": rating.run,
    "printing": printing.run,
    "verify": verifying.run,
}


def main(wanted: list[str]) -> int:
    """Run the wanted sections, print one table and write out/latest.json."""
    unknown = set(wanted) - SECTIONS.keys()
    if unknown:
        sys.stderr.write(f"ONLY: {', '.join(unknown)}: allowed are {', '.join(SECTIONS)}\n")
        return 2
    figures: list[Figure] = []
    for name, run in SECTIONS.items():
        if not wanted or name in wanted:
            figures += run()
    table = Table("section", "what", "items", "CPU us/item", "wall us/item", "more")
    for figure in figures:
        table.add_row(
            figure.section,
            figure.what,
            str(figure.items),
            f"{figure.cpu_us:.2f}",
            f"{figure.wall_us:.2f}",
            figure.more,
        )
    Console().print(table)
    out = Path(__file__).parent / "out" / "latest.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps([vars(figure) for figure in figures], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    # the processes that a section starts read this file too
    sys.exit(main(sys.argv[1:]))
