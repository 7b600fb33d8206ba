"""The read that tells one model from another: known words, or a value no other map would give."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from devices.data_point import Address, Function, ValueRange
from devices.yaml_file import Strict
from protocols.modbus.plan import MAX_REGISTERS

WordsText = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{4}( [0-9A-Fa-f]{4})*$")]


class Fingerprint(Strict):
    """Either a read with the words (`equals`) or letters (`ascii`) it must give, or a `point`.

    A point must lie in `range`, which may not hold 0: many meters answer 0 for registers that
    they do not have, so that an answer alone proves nothing.
    """

    function: Function | None = None
    address: Address | None = None
    count: int | None = Field(default=None, ge=1, le=MAX_REGISTERS)
    equals: tuple[WordsText, ...] = Field(
        default=(), description='Answers that prove the model, in hex words like "0155".'
    )
    ascii: str | None = Field(
        default=None,
        min_length=1,
        pattern=r"^[ -~]+$",
        description="Letters, one to a register or, if count is half their number, two.",
    )
    point: str | None = Field(default=None, description="A point of this profile.")
    range: ValueRange | None = Field(default=None, description="Values that prove the model.")

    def expects(self, words: tuple[int, ...]) -> bool:
        """Whether these words are among the known answers; False for a point's fingerprint."""
        if self.ascii is not None:
            return words == _letters(self.ascii, self.count)
        return any(words == _words(text) for text in self.equals)

    @model_validator(mode="after")
    def _check(self) -> Self:
        read = (self.function, self.address, self.count)
        kinds = [bool(self.equals), self.ascii is not None, self.point is not None]
        if sum(kinds) != 1:
            message = "allowed is exactly one of equals, ascii, point"
            raise ValueError(message)
        if self.point is not None:
            self._check_point()
            return self
        if None in read or self.range is not None:
            message = "equals and ascii need function, address and count, and no range"
            raise ValueError(message)
        if self.ascii is not None and len(self.ascii) not in (self.count, 2 * (self.count or 0)):
            message = f"ascii {self.ascii!r}: count must be {len(self.ascii)} or half of it"
            raise ValueError(message)
        for text in self.equals:
            if len(_words(text)) != self.count:
                message = f"equals {text!r}: must be {self.count} words"
                raise ValueError(message)
            if not any(_words(text)):
                message = f"equals {text!r}: 0 is what a meter answers that has no such register"
                raise ValueError(message)
        return self

    def _check_point(self) -> None:
        if (self.function, self.address, self.count) != (None, None, None):
            message = "a point brings its own function, address and count"
            raise ValueError(message)
        if self.range is None or self.range.min <= 0 <= self.range.max:
            message = "range: a point needs one, and it may not hold 0"
            raise ValueError(message)


def _words(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


def _letters(text: str, count: int | None) -> tuple[int, ...]:
    codes = text.encode("ascii")
    if len(codes) == count:
        return tuple(codes)
    return tuple(high << 8 | low for high, low in zip(codes[::2], codes[1::2], strict=True))
