"""`python -m tests.simulation.mutants`: each rule removed in turn must be caught."""

import argparse
import multiprocessing
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.simulation import stage
from tests.simulation.__main__ import run_all
from tests.simulation.cloud_mutants import CLOUD_MUTANTS
from tests.simulation.gateway_mutants import GATEWAY_MUTANTS
from tests.simulation.mutation import Mutant, mutate
from tests.simulation.storage_mutants import STORAGE_MUTANTS
from tests.simulation.world import run_seed

MUTANTS = (*GATEWAY_MUTANTS, *STORAGE_MUTANTS, *CLOUD_MUTANTS)
PROOF = Path(__file__).parents[2] / "docs" / "delivery-proof.md"
WANTED = 3
_BOUND = 3000
_STOP_AT = 3
_BEGIN, _END = "<!-- mutants -->", "<!-- end of mutants -->"
_ROW = re.compile(r"\| `([a-z0-9-]+)` \| [^|]* \| ([0-9, ]*) \|")


def main() -> int:
    """Hunt every mutant, or check those named; write the table if asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these mutants")
    parser.add_argument("--bound", type=int, default=_BOUND, help="how many seeds to try")
    parser.add_argument("--processes", type=int, default=2, help="how many run at a time")
    parser.add_argument("--check", action="store_true", help="only the seeds in the table")
    parser.add_argument("--write", action="store_true", help="write docs/delivery-proof.md")
    chosen = parser.parse_args()
    wanted = [one for one in MUTANTS if not chosen.names or one.name in chosen.names]
    recorded = read_table()
    if chosen.check:
        wanted = [one for one in wanted if len(recorded.get(one.name, [])) >= WANTED]
    # a seed that fails without a mutant proves nothing
    sound: list[int] = []
    if not chosen.check:
        every = run_all(range(1, chosen.bound), processes=chosen.processes)
        sound = [verdict.seed for verdict in every if not verdict.problem]
    work = [(one.name, recorded.get(one.name, []) if chosen.check else sound) for one in wanted]
    caught: dict[str, list[int]] = {}
    with multiprocessing.get_context("fork").Pool(chosen.processes, maxtasksperchild=1) as pool:
        for name, seeds in pool.imap_unordered(_hunt, work, chunksize=1):
            caught[name] = seeds
            sys.stdout.write(f"{name}: {seeds}\n")
            sys.stdout.flush()
            if chosen.write:
                # a hunt takes minutes: what it found so far outlives its end
                write_table(recorded | caught)
    missed = [name for name, seeds in caught.items() if len(seeds) < WANTED]
    sys.stdout.write(f"mutants {len(caught)} caught {len(caught) - len(missed)}\n")
    for name in missed:
        sys.stdout.write(f"not caught: {name}\n")
    return 1 if missed else 0


def hunt(mutant: Mutant, seeds: Iterable[int]) -> list[int]:
    """Return up to three of the seeds that notice a mutant; this process stays mutated."""
    found: list[int] = []
    with stage.installed():
        mutate(mutant)
        for seed in seeds:
            if run_seed(seed).problem:
                found.append(seed)
            if len(found) == _STOP_AT:
                break
    return found


def read_table() -> dict[str, list[int]]:
    """Return the seeds that caught each mutant, as docs/delivery-proof.md has them."""
    found = _ROW.findall(PROOF.read_text(encoding="utf-8"))
    return {name: [int(seed) for seed in seeds.split(",") if seed.strip()] for name, seeds in found}


def write_table(caught: dict[str, list[int]]) -> None:
    """Put the table into docs/delivery-proof.md."""
    text = PROOF.read_text(encoding="utf-8")
    head, _, rest = text.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    table = "\n".join(["| mutant | the rule it breaks | seeds that catch it |", "|---|---|---|"])
    rows = "\n".join(_rows(caught))
    PROOF.write_text(f"{head}{_BEGIN}\n{table}\n{rows}\n{_END}{tail}", encoding="utf-8")


def _rows(caught: dict[str, list[int]]) -> Iterator[str]:
    for one in MUTANTS:
        seeds = ", ".join(map(str, caught.get(one.name, [])))
        yield f"| `{one.name}` | {one.rule} | {seeds} |"


def _hunt(work: tuple[str, Iterable[int]]) -> tuple[str, list[int]]:
    name, seeds = work
    (mutant,) = (one for one in MUTANTS if one.name == name)
    return name, hunt(mutant, seeds)


if __name__ == "__main__":
    sys.exit(main())
