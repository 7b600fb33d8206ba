"""What every page request brings: the person, the language, the project and the present."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import Depends, HTTPException, Request
from sqlalchemy import select

from cloud.auth import Person
from cloud.ledger.service import Teller
from cloud.requests import Reading, Visitor
from cloud.sites.tables import projects
from cloud.web.formats import Format
from cloud.web.i18n import LANGUAGE_COOKIE, Language, language_of
from cloud.web.permissions import NavEntry, navigation_of
from protocols.delivery.records import instant


@dataclass(frozen=True)
class Guest:
    """A request of nobody in particular."""

    request: Request
    now_us: int

    @property
    def language(self) -> Language:
        """Return the language of the reader's cookie."""
        return language_of(self.request.cookies.get(LANGUAGE_COOKIE))

    @property
    def format(self) -> Format:
        """Return how this reader wants numbers and times."""
        return Format(self.language, ZoneInfo("Asia/Shanghai"))

    @property
    def here(self) -> str:
        """Return path and query of this page, to come back to."""
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query else url.path


@dataclass(frozen=True)
class Visit(Guest):
    """A request of somebody who is logged in."""

    person: Person
    project_name: str
    project_name_en: str
    zone: ZoneInfo

    @property
    def format(self) -> Format:
        """Return how this reader wants numbers and times, in the project's zone."""
        return Format(self.language, self.zone)

    @property
    def today(self) -> date:
        """Return the project's local day."""
        return instant(self.now_us).astimezone(self.zone).date()

    @property
    def teller(self) -> Teller:
        """Return this person as who acts with the project's money."""
        return Teller(self.person.project_id, self.person.username, self.now_us)

    @property
    def navigation(self) -> list[NavEntry]:
        """Return the places this person may open."""
        return navigation_of(self.person.role)

    def name(self, name: str, name_en: str | None) -> str:
        """Return the name in the reader's language."""
        return name_en if self.language == "en" and name_en else name


def guest_of(request: Request) -> Guest:
    """Return a visit that needs no login."""
    return Guest(request, time.time_ns() // 1000)


def visit_of(*roles: str) -> Callable[[Request, Visitor, Reading], Visit]:
    """Return a dependency that lets only some roles in: 401 for strangers, 403 for others."""

    def check(request: Request, person: Visitor, connection: Reading) -> Visit:
        if person is None:
            raise HTTPException(401)
        if person.role not in roles:
            raise HTTPException(403)
        project = connection.execute(
            select(projects).where(projects.c.id == person.project_id)
        ).one()
        return Visit(
            request,
            time.time_ns() // 1000,
            person,
            project.name,
            project.name_en,
            ZoneInfo(project.time_zone),
        )

    return check


def refuse_other_sites(request: Request) -> None:
    """Let only this site's own pages post: 403 unless Sec-Fetch-Site or Origin says so."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise HTTPException(403)
        return
    origin = request.headers.get("origin")
    if origin is None or urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403)


def own_path(wanted: str | None) -> str:
    """Return a path of this site to go on to; the overview for anything else."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return "/"
    return "/" if any(ord(letter) < ord(" ") for letter in wanted) else wanted


AnyGuest = Annotated[Guest, Depends(guest_of)]
OwnSite = Depends(refuse_other_sites)
