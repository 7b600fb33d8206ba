"""`python -m tests.simulation --seeds N --from M`: seeded fault schedules, judged by the oracle."""

import argparse
import multiprocessing
import sys
from collections.abc import Iterable, Iterator

from tests.simulation import stage
from tests.simulation.world import Verdict, run_seed

_AT_ONCE = 50
_KINDS = ("lost", "duplicated", "mutated", "stuck")


def main() -> int:
    """Run the seeds; print the counts, and the first that fails with its last events."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first seed")
    parser.add_argument("--processes", type=int, default=2, help="how many run at a time")
    parser.add_argument(
        "--real-cloud", action="store_true", help="SQL in every run, not in one of forty"
    )
    parser.add_argument("--go-on", action="store_true", help="name every seed that fails")
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    real_cloud = True if chosen.real_cloud else None
    counts = dict.fromkeys(_KINDS, 0)
    records = schedules = 0
    failed: list[Verdict] = []
    for verdict in run_all(seeds, processes=chosen.processes, real_cloud=real_cloud):
        schedules += 1
        records += verdict.records
        if verdict.problem:
            failed.append(verdict)
            if verdict.kind in counts:
                counts[verdict.kind] += 1
            if not chosen.go_on:
                break
    total = " ".join(f"{kind} {counts[kind]}" for kind in _KINDS)
    sys.stdout.write(f"schedules {schedules} readings {records} {total}\n")
    for verdict in failed[:1]:
        sys.stdout.write("\n".join([*verdict.trace, ""]))
    for verdict in failed:
        sys.stdout.write(f"seed {verdict.seed} fails: {verdict.problem}\n")
    return 1 if failed else 0


def run_all(
    seeds: Iterable[int], *, processes: int, real_cloud: bool | None = None
) -> Iterator[Verdict]:
    """Yield the verdict of each seed in order."""
    every = list(seeds)
    parts = [(every[i : i + _AT_ONCE], real_cloud) for i in range(0, len(every), _AT_ONCE)]
    if processes < 2 or len(parts) < 2:
        for part in parts:
            yield from _run_part(part)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for verdicts in pool.imap(_run_part, parts):
            yield from verdicts


def _run_part(part: tuple[list[int], bool | None]) -> list[Verdict]:
    seeds, real_cloud = part
    with stage.installed():
        return [run_seed(seed, real_cloud=real_cloud) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
