"""Who is asking: passwords, tokens and roles."""

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import Connection, Engine, delete, select

from cloud.errors import CloudError
from cloud.sites.tables import sessions, users

SESSION_S: Final = 12 * 3600
STAFF: Final = frozenset({"manager", "maintenance", "clerk", "guard", "integrator"})
ROLES: Final = STAFF | {"resident"}

_HASHER: Final = PasswordHasher()
_REFUSED: Final = "user name or password is wrong"
# verified when there is no such user, so that both answers take as long
_NOBODY: Final = _HASHER.hash(secrets.token_hex(16))


class LoginRefusedError(CloudError):
    """Wrong user name or password."""


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in; `premise_id` is a resident's own home."""

    id: int
    project_id: str
    username: str
    name: str
    role: str
    premise_id: str | None

    @property
    def is_staff(self) -> bool:
        """Say whether this person works for the property company."""
        return self.role in STAFF


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password (slow by design: call it in a thread)."""
    return _HASHER.hash(password)


def generate_password() -> str:
    """Return a password that can be read out on the phone: 16 of 31 letters and digits."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    raw = "".join(secrets.choice(alphabet) for _ in range(16))
    return "-".join(raw[index : index + 4] for index in range(0, 16, 4))


def log_in(engine: Engine, username: str, password: str) -> str:
    """Return a new token; LoginRefusedError tells nothing of which part was wrong.

    The hash is checked outside any transaction: it takes its time, and nobody waits for it.
    """
    query = select(users.c.id, users.c.password_hash).where(
        users.c.username == username, users.c.active
    )
    with engine.connect() as connection:
        row = connection.execution_options(readonly=True).execute(query).one_or_none()
    try:
        _HASHER.verify(row.password_hash if row else _NOBODY, password)
    except (VerifyMismatchError, InvalidHashError) as error:
        raise LoginRefusedError(_REFUSED) from error
    if row is None:
        raise LoginRefusedError(_REFUSED)
    token = secrets.token_urlsafe(32)
    now_us = time.time_ns() // 1000
    with engine.begin() as connection:
        connection.execute(delete(sessions).where(sessions.c.expires_us < now_us))
        connection.execute(
            sessions.insert().values(
                token_hash=_digest(token),
                user_id=row.id,
                created_us=now_us,
                expires_us=now_us + SESSION_S * 1_000_000,
            )
        )
    return token


def log_out(connection: Connection, token: str) -> None:
    """End a session."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == _digest(token)))


def person_of(connection: Connection, token: str) -> Person | None:
    """Return who holds a token, None if it is unknown or has ended."""
    row = connection.execute(
        select(users)
        .join(sessions, sessions.c.user_id == users.c.id)
        .where(
            sessions.c.token_hash == _digest(token),
            sessions.c.expires_us > time.time_ns() // 1000,
            users.c.active,
        )
    ).one_or_none()
    if row is None:
        return None
    return Person(row.id, row.project_id, row.username, row.name, row.role, row.premise_id)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
