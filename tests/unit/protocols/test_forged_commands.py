"""Of many forged, replayed, reordered, late and misdirected commands none is acted upon."""

from tests.benchmarks.forge_commands import forge

COUNT = 20_000


def test_none_is_acted_upon() -> None:
    done = forge(COUNT, seed=20261122)
    assert done.acted == 0
    assert sum(done.kinds.values()) == sum(done.reasons.values()) == COUNT
    # every way was tried, and most reasons were needed
    assert min(done.kinds.values()) > COUNT // 20
    assert len(done.reasons) >= 6
