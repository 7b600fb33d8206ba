"""Formulas of weights 分摊公式: a small language, parsed, typed and bounded (pure).

    formula    = or
    or         = and { "or" and }
    and        = not { "and" not }
    not        = "not" not | comparison
    comparison = sum [ ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) sum ]
    sum        = product { ( "+" | "-" ) product }
    product    = factor { ( "*" | "/" ) factor }
    factor     = "-" factor | number | text | name | call | "(" formula ")"
    call       = ( "if" | "min" | "max" ) "(" formula { "," formula } ")"

Numbers are exact decimals, texts stand in single quotes. `if(condition, then, else)` takes either
side as it is needed. Numbers, texts and conditions do not mix: what a formula says is checked
before it is used. A division by zero is an error, never zero.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from operator import add, eq, ge, gt, le, lt, mul, ne, sub
from typing import Final

MOST_CHARACTERS: Final = 1000
MOST_DEPTH: Final = 40
_MOST_DIGITS: Final = 18
_TOKEN: Final = re.compile(
    r"\s*(?:(\d{1,18}(?:\.\d{1,18})?)|([a-z][a-z0-9_]*)|'([^']*)'|(<=|>=|==|!=|[-+*/(),<>]))",
    re.ASCII,
)

Value = Fraction | str | bool


class FormulaError(ValueError):
    """A formula that cannot be read, or not be worked out; names the place or the fact."""


class Type(StrEnum):
    """What a part of a formula is."""

    NUMBER = "number"
    TEXT = "text"
    CONDITION = "condition"


@dataclass(frozen=True)
class Formula:
    """A formula that was read and checked; `names` are the facts that it asks for."""

    text: str
    names: frozenset[str]
    _work: Callable[[Mapping[str, Value]], Value]

    def number(self, facts: Mapping[str, Value]) -> Fraction:
        """Work it out for one premise; FormulaError where a fact is missing or divides by zero."""
        value = self._work(facts)
        if isinstance(value, bool) or not isinstance(value, Fraction):
            msg = f"{self.text}: {value!r} is no number"
            raise FormulaError(msg)
        return value


def parse(text: str, facts: Mapping[str, Type]) -> Formula:
    """Read a formula over these facts that gives a number; FormulaError."""
    if len(text) > MOST_CHARACTERS:
        msg = f"a formula of {len(text)} characters; allowed are up to {MOST_CHARACTERS}"
        raise FormulaError(msg)
    parser = _Parser(text, facts)
    part = parser.whole()
    if part.type is not Type.NUMBER:
        msg = f"{text}: it gives a {part.type}; allowed is a number"
        raise FormulaError(msg)
    return Formula(text, frozenset(parser.names), part.work)


@dataclass(frozen=True)
class _Part:
    type: Type
    work: Callable[[Mapping[str, Value]], Value]


_COMPARES: Final[Mapping[str, Callable[[Value, Value], bool]]] = {
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
    "==": eq,
    "!=": ne,
}
_SUMS: Final[Mapping[str, Callable[[Fraction, Fraction], Fraction]]] = {"+": add, "-": sub}


class _Parser:
    """Reads tokens from the left; each method reads one line of the grammar."""

    def __init__(self, text: str, facts: Mapping[str, Type]) -> None:
        self.text = text
        self.facts = facts
        self.names: set[str] = set()
        self._at = 0
        self._depth = 0
        self._kind, self._token = "", ""
        self._next()

    def whole(self) -> _Part:
        part = self._or()
        if self._kind:
            self._refuse(f"{self._token!r} is not expected")
        return part

    def _next(self) -> None:
        match = _TOKEN.match(self.text, self._at)
        if match is None:
            if self.text[self._at :].strip():
                self._refuse(f"{self.text[self._at :].strip()[:10]!r} cannot be read")
            self._kind = self._token = ""
            return
        number, name, quoted, sign = match.groups()
        if number is not None:
            self._kind, self._token = "number", number
        elif name is not None:
            self._kind, self._token = "name", name
        elif quoted is not None:
            self._kind, self._token = "text", quoted
        else:
            self._kind, self._token = "sign", sign
        self._at = match.end()

    def _takes(self, *tokens: str) -> str | None:
        if self._kind in ("sign", "name") and self._token in tokens:
            found = self._token
            self._next()
            return found
        return None

    def _expect(self, sign: str) -> None:
        if self._takes(sign) is None:
            self._refuse(f"{self._token or 'the end'!r} stands where {sign!r} is needed")

    def _or(self) -> _Part:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self._refuse(f"nested more than {MOST_DEPTH} deep")
        left = self._and()
        while self._takes("or"):
            left = self._either(left, self._and(), stops_at=True)
        self._depth -= 1
        return left

    def _and(self) -> _Part:
        left = self._not()
        while self._takes("and"):
            left = self._either(left, self._not(), stops_at=False)
        return left

    def _either(self, left: _Part, right: _Part, *, stops_at: bool) -> _Part:
        self._check("and, or", Type.CONDITION, left, right)

        def work(facts: Mapping[str, Value]) -> Value:
            first = left.work(facts)
            return first if first is stops_at else right.work(facts)

        return _Part(Type.CONDITION, work)

    def _not(self) -> _Part:
        if self._takes("not"):
            self._depth += 1
            if self._depth > MOST_DEPTH:
                self._refuse(f"nested more than {MOST_DEPTH} deep")
            inner = self._not()
            self._depth -= 1
            self._check("not", Type.CONDITION, inner)
            return _Part(Type.CONDITION, lambda facts: not inner.work(facts))
        return self._comparison()

    def _comparison(self) -> _Part:
        left = self._sum()
        sign = self._takes(*_COMPARES)
        if sign is None:
            return left
        right, compare = self._sum(), _COMPARES[sign]
        if left.type is not right.type or left.type is Type.CONDITION:
            self._refuse(f"{left.type} {sign} {right.type} cannot be compared")
        if left.type is Type.TEXT and sign not in ("==", "!="):
            self._refuse(f"texts are compared by == and !=, not by {sign}")
        return _Part(Type.CONDITION, lambda facts: compare(left.work(facts), right.work(facts)))

    def _sum(self) -> _Part:
        left = self._product()
        while sign := self._takes("+", "-"):
            left = self._arithmetic(sign, left, self._product(), _SUMS[sign])
        return left

    def _product(self) -> _Part:
        left = self._factor()
        while sign := self._takes("*", "/"):
            left = self._arithmetic(
                sign, left, self._factor(), mul if sign == "*" else self._divide
            )
        return left

    def _arithmetic(
        self,
        sign: str,
        left: _Part,
        right: _Part,
        act: Callable[[Fraction, Fraction], Fraction],
    ) -> _Part:
        self._check(sign, Type.NUMBER, left, right)
        return _Part(
            Type.NUMBER,
            lambda facts: act(_fraction(left.work(facts)), _fraction(right.work(facts))),
        )

    def _divide(self, over: Fraction, under: Fraction) -> Fraction:
        if not under:
            msg = f"{self.text}: a division by zero"
            raise FormulaError(msg)
        return over / under

    def _factor(self) -> _Part:
        if self._takes("-"):
            self._depth += 1
            if self._depth > MOST_DEPTH:
                self._refuse(f"nested more than {MOST_DEPTH} deep")
            inner = self._factor()
            self._depth -= 1
            self._check("-", Type.NUMBER, inner)
            return _Part(Type.NUMBER, lambda facts: -_fraction(inner.work(facts)))
        if self._takes("("):
            inner = self._or()
            self._expect(")")
            return inner
        kind, token = self._kind, self._token
        if kind == "number":
            self._next()
            number = Fraction(token)
            return _Part(Type.NUMBER, lambda _: number)
        if kind == "text":
            self._next()
            return _Part(Type.TEXT, lambda _: token)
        if kind == "name" and token not in ("and", "or", "not"):
            self._next()
            return self._call(token) if token in ("if", "min", "max") else self._fact(token)
        self._refuse(f"{token or 'the end'!r} stands where a value is needed")
        raise AssertionError

    def _fact(self, name: str) -> _Part:
        if name not in self.facts:
            self._refuse(f"{name} is unknown; allowed are {', '.join(sorted(self.facts))}")
        self.names.add(name)

        def work(facts: Mapping[str, Value]) -> Value:
            value = facts.get(name)
            if value is None:
                msg = f"{self.text}: {name} is not on file"
                raise FormulaError(msg)
            return value

        return _Part(self.facts[name], work)

    def _call(self, name: str) -> _Part:
        self._expect("(")
        parts = [self._or()]
        while self._takes(","):
            parts.append(self._or())
        self._expect(")")
        if name != "if":
            self._check(name, Type.NUMBER, *parts)
            pick = min if name == "min" else max
            return _Part(
                Type.NUMBER, lambda facts: pick(_fraction(part.work(facts)) for part in parts)
            )
        if len(parts) != 3:  # noqa: PLR2004 - condition, then, else
            self._refuse("if needs a condition, a value and another")
        condition, then, other = parts
        self._check("if", Type.CONDITION, condition)
        if then.type is not other.type:
            self._refuse(f"if gives a {then.type} or a {other.type}; allowed are two of a kind")
        return _Part(
            then.type,
            lambda facts: then.work(facts) if condition.work(facts) else other.work(facts),
        )

    def _check(self, what: str, wanted: Type, *parts: _Part) -> None:
        for part in parts:
            if part.type is not wanted:
                self._refuse(f"{what} needs a {wanted}, not a {part.type}")

    def _refuse(self, why: str) -> None:
        msg = f"{self.text!r}, before character {self._at + 1}: {why}"
        raise FormulaError(msg)


def _fraction(value: Value) -> Fraction:
    # the types were checked as the formula was read; a fact may still be wrong
    if isinstance(value, Fraction) and not isinstance(value, bool):
        return value
    msg = f"{value!r} is no number"
    raise FormulaError(msg)
