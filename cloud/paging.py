"""Lists in pages: a cursor says after which id the next page begins."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

Item = TypeVar("Item", bound=BaseModel)

Cursor = Annotated[str, Query(max_length=100, description="the `next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is None at its end."""

    items: list[Item]
    next: str | None


def page(items: Sequence[Item], limit: int, key: str) -> Page[Item]:
    """Return a page of up to `limit` items from `limit` + 1 that were asked for."""
    shown = list(items[:limit])
    more = len(items) > limit
    return Page(items=shown, next=str(getattr(shown[-1], key)) if more else None)
