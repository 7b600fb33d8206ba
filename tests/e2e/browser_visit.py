"""What the browser tests are given: a served site, and a page that notes what goes wrong on it."""

from dataclasses import dataclass

from playwright.sync_api import Page
from screenshots import Login
from sqlalchemy import Engine


@dataclass(frozen=True)
class Served:
    """A running server over a seeded database."""

    url: str
    engine: Engine
    logins: dict[str, Login]


@dataclass(frozen=True)
class Visitor:
    """A page of a browser, and what went wrong on it."""

    page: Page
    complaints: list[str]
    foreign: list[str]
