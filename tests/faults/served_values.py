"""What the simulated meters held at any instant, straight from their model."""

from dataclasses import dataclass, field

from sqlalchemy import Engine, select

from cloud.sites.tables import channels
from cloud.telemetry import chunk
from cloud.telemetry.tables import chunks
from devices.point_decoder import decode_words
from devices.profile import load_profile
from devices.simulated.site import Site, build_site, load_site
from tests.e2e.chain_processes import SITE_FILE

# an answer travels, and waits for its turn on the gateway
LATE_US = 3_000_000


@dataclass
class Served:
    """The site's registers by device; they only rise."""

    site: Site = field(default_factory=lambda: build_site(load_site(SITE_FILE)))

    def count(self, device: str, point: str, at_us: int) -> int:
        """The count of a register at an instant."""
        meter = self.site.meters[device]
        span = load_profile(meter.profile.id).span(point)
        words = meter.words(span.function, span.address, span.count, at_us)
        samples = decode_words(meter.profile, span.function, span.address, words)
        return next(s.count for s in samples if s.point == point and s.count is not None)


def check_served(engine: Engine, point: str = "energy_import", *, error_us: int = 0) -> int:
    """Every stored register is what its meter held when it was read; how many were checked.

    `error_us` is by how much the time of a reading may be off.
    """
    served, checked = Served(), 0
    with engine.connect() as connection:
        names = {
            row.id: row.device_id
            for row in connection.execute(select(channels).where(channels.c.point == point))
        }
        for row in connection.execute(select(chunks).where(chunks.c.channel_id.in_(names))):
            for read in chunk.decode(row.data):
                device = names[row.channel_id]
                low = served.count(device, point, read.read_at_us - LATE_US - error_us)
                high = served.count(device, point, read.read_at_us + error_us)
                assert read.count is not None
                assert low <= read.count <= high, f"{device} at {read.read_at_us}"
                checked += 1
    return checked
