"""Numbered pages of a table, with addresses that keep its filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

MOST = 100_000


@dataclass(frozen=True)
class Pager:
    """Where the reader is in a list, and the addresses of the pages around."""

    path: str
    filters: Mapping[str, str]
    number: int
    size: int
    total: int

    @property
    def pages(self) -> int:
        """Return how many pages there are, at least one."""
        return max(1, -(-self.total // self.size))

    @property
    def first(self) -> int:
        """Return the number of the first row shown, 0 if there is none."""
        return min(self.total, (self.number - 1) * self.size + 1)

    @property
    def last(self) -> int:
        """Return the number of the last row shown."""
        return min(self.total, self.number * self.size)

    @property
    def before(self) -> str | None:
        """Return the address of the page before, None on the first."""
        return self._address(self.number - 1) if self.number > 1 else None

    @property
    def after(self) -> str | None:
        """Return the address of the next page, None on the last."""
        return self._address(self.number + 1) if self.number < self.pages else None

    def with_(self, **changed: str) -> str:
        """Return the address of the first page with some filters changed."""
        wanted = {**self.filters, **changed}
        return f"{self.path}?{urlencode({key: value for key, value in wanted.items() if value})}"

    def _address(self, number: int) -> str:
        return self.with_(page=str(number))


def offset_of(number: int, size: int) -> int:
    """Return how many rows stand before a page."""
    return (number - 1) * size
