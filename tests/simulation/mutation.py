"""One change of the shipped code, made in memory."""

import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.simulation import disk


class Mutant(NamedTuple):
    """In the function `where` `old` becomes `new`; where there is none, in the SQL.

    In a table of rules the rule `old` gets the fate `new`, or is taken out if that is empty.
    """

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
    if isinstance(function, tuple):
        setattr(owner, name, _other_rules(function, mutant))
        return
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
    for user in list(sys.modules.values()):
        # whoever imported it by name has it too
        if vars(user).get(name) is function:
            setattr(user, name, scope[name])
    for table in list(module.__dict__.values()):
        if isinstance(table, dict) and function in table.values():
            # tables of transitions name the function too
            table.update({key: scope[name] for key, held in table.items() if held is function})


def _other_rules(rules: tuple[Any, ...], mutant: Mutant) -> tuple[Any, ...]:
    """Return a table of rules with one of them changed or left out."""
    if [rule.name for rule in rules].count(mutant.old) != 1:
        message = f"{mutant.name}: there is no rule {mutant.old!r} in {mutant.where}"
        raise StaleMutantError(message)
    if not mutant.new:
        return tuple(rule for rule in rules if rule.name != mutant.old)
    fate = type(rules[0].fate)[mutant.new]
    return tuple(rule._replace(fate=fate) if rule.name == mutant.old else rule for rule in rules)
