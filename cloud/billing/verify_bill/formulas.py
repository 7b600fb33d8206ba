"""A formula of weights worked out anew for one home: numbers, facts, signs, if, min and max."""

import re
from fractions import Fraction
from typing import Final, NoReturn

from .values import DiffersError, Doc, decimal_of, half_away

DECIMALS: Final = 8
_DEEP: Final = 40
_TOKEN: Final = re.compile(
    r"\s*(\d{1,18}(?:\.\d{1,18})?|[a-z][a-z0-9_]*|'[^']*'|<=|>=|==|!=|[-+*/(),<>])", re.ASCII
)
_NUMBERS: Final = ("area_m2", "heads", "households", "floor", "usage")
_TEXTS: Final = ("kind", "building", "entrance", "state")
# how tightly signs bind; what stands between parts of one strength is taken from the left
_BINDS: Final = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), 4),
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
}
_NOT, _COMPARED, _SIGN = 3, 4, 7

Value = Fraction | str | bool | None


def weight_of(text: str, facts: Doc, path: str) -> Fraction:
    """Return what a formula gives for a home, rounded to 8 decimals; DiffersError."""
    for name, fact in facts.items():
        if name not in (*_NUMBERS, *_TEXTS) or not isinstance(fact, str):
            raise DiffersError(f"{path}: facts: {name}: {fact!r} is none of a home's")
    work = _Work(text, facts, path)
    value = work.value(0)
    if work.at < len(work.tokens) or isinstance(value, bool) or not isinstance(value, Fraction):
        raise DiffersError(f"{path}: {text!r} gives no number")
    if work.asked != facts.keys():
        odd = ", ".join(sorted(work.asked ^ facts.keys()))
        raise DiffersError(f"{path}: facts: {odd}: allowed are those that the formula asks for")
    return Fraction(half_away(value * 10**DECIMALS), 10**DECIMALS)


class _Work:
    """A formula while it is worked out from the left; an error in what is not needed is none."""

    def __init__(self, text: str, facts: Doc, path: str) -> None:
        self.facts, self.path, self.text = facts, path, text
        self.tokens = _TOKEN.findall(text)
        if "".join(self.tokens) != re.sub(r"\s+(?=(?:[^']*'[^']*')*[^']*$)", "", text):
            self._refuse("cannot be read")
        self.at = self.deep = 0
        self.asked: set[str] = set()

    def value(self, least: int) -> Value:
        """Return what stands here, up to a sign that binds less than `least`."""
        self.deep += 1
        if self.deep > 3 * _DEEP:
            self._refuse("is nested too deep")
        left = self._first()
        while (sign := self._seen()) in _BINDS and _BINDS[sign] > least:
            self.at += 1
            left = self._joined(sign, left, self.value(_BINDS[sign]))
        self.deep -= 1
        return left

    def _first(self) -> Value:
        word = self._taken()
        if word == "not":
            inner = self.value(_NOT - 1)
            return None if inner is None else not self._is(inner, bool)
        if word == "-":
            inner = self.value(_SIGN)
            return None if inner is None else -self._number(inner)
        if word == "(":
            inner = self.value(0)
            self._expect(")")
            return inner
        if word[0].isdigit():
            return Fraction(word)
        if word[0] == "'":
            return word[1:-1]
        if word in ("if", "min", "max"):
            return self._call(word)
        return self._fact(word)

    def _call(self, name: str) -> Value:
        self._expect("(")
        parts = [self.value(0)]
        while self._seen() == ",":
            self.at += 1
            parts.append(self.value(0))
        self._expect(")")
        if name == "if":
            condition, then, other = parts
            return None if condition is None else then if self._is(condition, bool) else other
        if None in parts:
            return None
        numbers = [self._number(part) for part in parts]
        return min(numbers) if name == "min" else max(numbers)

    def _fact(self, name: str) -> Value:
        if name not in self.facts:
            self._refuse(f"asks for {name}, which is not told")
        self.asked.add(name)
        fact = self.facts[name]
        return decimal_of(fact, f"{self.path}: {name}") if name in _NUMBERS else fact

    def _joined(self, sign: str, left: Value, right: Value) -> Value:
        if sign in ("and", "or"):
            if left is None or self._is(left, bool) is (sign == "or"):
                return left
            return right
        if left is None or right is None:
            return None
        if sign in ("==", "!="):
            return (left == right) is (sign == "==")
        a, b = self._number(left), self._number(right)
        if sign == "/":
            # not known, and an error only where it is needed
            return a / b if b else None
        if sign in ("+", "-", "*"):
            return {"+": a + b, "-": a - b, "*": a * b}[sign]
        return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[sign]

    def _number(self, value: Value) -> Fraction:
        if isinstance(value, bool) or not isinstance(value, Fraction):
            self._refuse(f"{value!r} is no number")
        return value

    def _is(self, value: Value, kind: type) -> bool:
        if not isinstance(value, kind):
            self._refuse(f"{value!r} is no condition")
        return bool(value)

    def _seen(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _taken(self) -> str:
        token = self._seen()
        if not token:
            self._refuse("ends too early")
        self.at += 1
        return token

    def _expect(self, sign: str) -> None:
        if self._taken() != sign:
            self._refuse(f"lacks {sign!r}")

    def _refuse(self, why: str) -> NoReturn:
        raise DiffersError(f"{self.path}: {self.text!r}: {why}")
