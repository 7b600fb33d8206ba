"""What a bill keeps of consumptions: registers at the boundaries, and the reads they stand on."""

from collections.abc import Mapping

from cloud.metering.registers import BoundaryRead, Consumption, Part

EvidencePart = dict[str, object]


def parts_of(used: Mapping[str, Consumption]) -> list[EvidencePart]:
    """Return consumptions by meter point as what a bill keeps as JSON."""
    return [
        {"meter_point": meter_point, **_part(part), **_true_up(consumption, part)}
        for meter_point, consumption in sorted(used.items())
        for part in consumption.parts
    ]


def _part(part: Part) -> EvidencePart:
    return {
        "meter_id": part.install.meter_id,
        "exponent": part.install.exponent,
        "multiplier": str(part.install.multiplier),
        "start": _boundary(part.start),
        "end": _boundary(part.end),
        "counts": part.counts,
        "quantity": str(part.quantity),
    }


def _true_up(consumption: Consumption, part: Part) -> EvidencePart:
    # it belongs to the whole, and is written once: at its last part
    if not consumption.true_up or part is not consumption.parts[-1]:
        return {}
    return {"true_up": f"{consumption.true_up:f}"}


def _boundary(boundary: BoundaryRead) -> EvidencePart:
    return {
        "boundary_us": boundary.boundary_us,
        "count": boundary.count,
        "estimated": boundary.estimated,
        **({"rule": boundary.rule} if boundary.rule else {}),
        "reads": [
            {"read_at_us": read.read_at_us, "count": read.count, "source": read.source}
            for read in boundary.reads
        ],
    }
