"""What a request brings along: a connection whose transaction ends with it, and a person."""

from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import Cookie, Depends, Header, HTTPException, Request
from sqlalchemy import Connection, Engine

from cloud import auth
from cloud.auth import Person
from cloud.ledger.service import Teller

COOKIE = "hutong_session"


def engine_of(request: Request) -> Engine:
    """Return the engine of the application."""
    engine: Engine = request.app.state.engine
    return engine


def reading(request: Request) -> Iterator[Connection]:
    """Give a connection that only reads, and so never waits for a writer."""
    with engine_of(request).connect() as connection:
        yield connection.execution_options(readonly=True)


def writing(request: Request) -> Iterator[Connection]:
    """Give a connection in a transaction that is committed if the request succeeds."""
    with engine_of(request).begin() as connection:
        yield connection


Database = Annotated[Engine, Depends(engine_of)]
Reading = Annotated[Connection, Depends(reading)]
Writing = Annotated[Connection, Depends(writing, scope="function")]


def token_of(
    authorization: Annotated[str | None, Header()] = None,
    session: Annotated[str | None, Cookie(alias=COOKIE)] = None,
) -> str | None:
    """Return the bearer token of a program, or the session cookie of a browser."""
    if authorization and authorization.lower().startswith("bearer "):
        return authorization[7:].strip()
    return session


def visitor(request: Request, token: Annotated[str | None, Depends(token_of)]) -> Person | None:
    """Return who is asking, None for a stranger."""
    if token is None:
        return None
    with engine_of(request).connect() as connection:
        return auth.person_of(connection.execution_options(readonly=True), token)


Visitor = Annotated[Person | None, Depends(visitor)]


def teller_of(person: Person) -> Teller:
    """Return a person as who acts with the project's money now."""
    return Teller.now(person.project_id, person.username)


def require(*roles: str) -> Callable[[Visitor], Person]:
    """Return a dependency that lets only some roles in: 401 for strangers, 403 for others."""

    def check(person: Visitor) -> Person:
        if person is None:
            raise HTTPException(401, "log in first", {"WWW-Authenticate": "Bearer"})
        if person.role not in roles:
            raise HTTPException(
                403, f"role {person.role} may not do this; allowed: {', '.join(roles)}"
            )
        return person

    return check


Staff = Annotated[Person, Depends(require(*sorted(auth.STAFF)))]
Anyone = Annotated[Person, Depends(require(*sorted(auth.ROLES)))]
