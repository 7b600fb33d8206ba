"""One change of the shipped code, made in memory."""

import importlib
import inspect
import textwrap
from collections.abc import Callable
from typing import NamedTuple

from tests.simulation import disk


class Mutant(NamedTuple):
    """In the function `where` `old` becomes `new`; where there is none, in the SQL."""

    name: str
    rule: str
    where: str
    old: str
    new: str


class StaleMutantError(Exception):
    """The shipped code no longer has the text that a mutant changes."""


def mutate(mutant: Mutant) -> None:
    """Change the shipped code in memory; StaleMutantError if it is not as the mutant expects."""
    if not mutant.where:
        disk.REWRITTEN[mutant.old] = mutant.new
        return
    module_name, _, path = mutant.where.partition(":")
    module = importlib.import_module(module_name)
    owner: object = module
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    function = getattr(owner, name)
    if isinstance(function, type) or not callable(function):
        message = f"{mutant.where} is no function"
        raise StaleMutantError(message)
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(mutant.old) != 1:
        message = f"{mutant.name}: {mutant.old!r} is in {mutant.where} {source.count(mutant.old)}x"
        raise StaleMutantError(message)
    scope: dict[str, Callable[..., object]] = {}
    code = compile(source.replace(mutant.old, mutant.new), mutant.where, "exec")
    exec(code, module.__dict__, scope)  # noqa: S102 - a mutant is the shipped text with one change
    setattr(owner, name, scope[name])
