"""Commands from their asking to their end: judged here, so that no page or API passes by."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, Engine

from cloud.auth import Person
from cloud.commands import cutting_off, permissions, repository, terms
from cloud.commands.cutting_off import SENTENCES, Reason
from cloud.commands.repository import Asked
from cloud.commands.sending import NotHandedOverError, Publisher
from cloud.commands.states import State, Step, step
from cloud.errors import ForbiddenError, NotFoundError, RefusedError
from protocols import commands as wire
from protocols.commands import LIFETIME_S, Action
from protocols.delivery.records import Event, EventValue
from protocols.io.key_file import open_key

SERVICE: Final = "service"
# three HELLOs: a gateway that is silent for longer is not there
HELLO_FOR_US: Final = 90_000_000
WAITS_US: Final = 3_600_000_000
UNSENT_US: Final = 60_000_000
# what a gateway says comes with its next events
ANSWER_US: Final = 60_000_000
RESULT: Final = "command_result"
TAKEN: Final = "command_taken"

OTHER_REASONS: Final = {
    "not_connected": "the gateway is not connected: its last HELLO is older than 90 s",
    "clone_suspected": "commands are frozen: a clone of this gateway is suspected",
    "not_handed_over": "the broker was not reached",
    "never_sent": "it was never sent",
    "nobody_confirmed": "nobody confirmed it within an hour",
    "turned_down": "it was turned down",
}

log = structlog.get_logger("commands")


class CommandRefusedError(RefusedError):
    """A command is refused; it is on file with every reason."""

    def __init__(self, command_id: str, codes: tuple[str, ...]) -> None:
        self.command_id = command_id
        self.codes = codes
        said = "; ".join(sentence(code) for code in codes)
        super().__init__(f"command {command_id} is refused: {said}")


@dataclass(frozen=True)
class Wanted:
    """What somebody asks for: of a device, or of a gateway itself where no device is named."""

    action: Action
    why: str
    key: str
    device: str = ""
    gateway: str = ""
    pulse_ms: int = 0
    dry_run: bool = False


class Commands:
    """The command service: the only one that signs, and that at the moment of sending alone."""

    def __init__(
        self,
        engine: Engine,
        key_file: Path,
        publisher: Publisher,
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._engine = engine
        self._key_file = key_file
        self._publisher = publisher
        self._now_us = now_us

    def ask(self, person: Person, wanted: Wanted) -> Asked:
        """Put a command on file and send it, or let it wait for another person.

        CommandRefusedError with every reason, which are on file then; ForbiddenError for a role;
        the same key asks once, RefusedError if it asked for something else.
        """
        check_role(person, wanted.action, permissions.MAY_ASK[wanted.action])
        now_us = self._now_us()
        identity = _identity(person, wanted.key)
        with self._engine.begin() as connection:
            gateway = _gateway(connection, person.project_id, wanted)
            repository.lock_gateway(connection, gateway)
            held = repository.find(connection, identity)
            if held is not None:
                return _same(held, wanted, gateway)
            asked = _fresh(person, wanted, identity, gateway, now_us=now_us)
            repository.add(connection, asked)
            waits = permissions.needs_another(
                wanted.action, feeds=_feeds(connection, asked, now_us)
            )
            # another person cannot have confirmed yet; all the rest must hold already
            codes = _reasons_against(connection, asked, now_us=now_us)
            codes = tuple(code for code in codes if code != Reason.NOT_CONFIRMED)
            if codes:
                _move(connection, asked, Step.REFUSE, by=SERVICE, said=codes, now_us=now_us)
            elif waits:
                _move(connection, asked, Step.NEEDS_ANOTHER, by=SERVICE, said=(), now_us=now_us)
        if codes:
            raise CommandRefusedError(identity, codes)
        if not waits:
            self._send(identity, by=person.username)
        return self._found(identity)

    def confirm(self, person: Person, command_id: str, *, grant: bool, note: str = "") -> Asked:
        """Confirm a command of somebody else and send it, or turn it down.

        CommandRefusedError where what it is judged by no longer holds; ForbiddenError.
        """
        now_us = self._now_us()
        with self._engine.begin() as connection:
            held = repository.command_of(connection, person.project_id, command_id, lock=True)
            check_role(person, held.action, permissions.MAY_CONFIRM)
            if held.state is not State.WAITING:
                message = f"command {command_id} is {held.state}: allowed is one that waits"
                raise RefusedError(message)
            if person.username == held.asked_by:
                message = f"command {command_id}: {SENTENCES[Reason.CONFIRMED_BY_ASKER]}"
                raise RefusedError(message)
            if not grant:
                said = ("turned_down",)
                _move(connection, held, Step.REFUSE, by=person.username, said=said, now_us=now_us)
                if note.strip():
                    repository.note(
                        connection,
                        held.id,
                        by=person.username,
                        said=_text(note.strip()),
                        at_us=now_us,
                    )
        if grant:
            self._send(command_id, by=person.username, confirmed_by=person.username)
        return self._found(command_id)

    def _send(self, command_id: str, *, by: str, confirmed_by: str | None = None) -> None:
        with self._engine.begin() as connection:
            found = repository.find(connection, command_id)
            if found is None:
                message = f"command {command_id!r} is unknown"
                raise NotFoundError(message)
            session = repository.lock_gateway(connection, found.gateway_id)
            held = repository.command_of(connection, found.project_id, command_id, lock=True)
            now_us = self._now_us()
            held = replace(held, confirmed_by=confirmed_by or held.confirmed_by)
            step(held.state, Step.SEND)
            codes = _reasons_against(connection, held, now_us=now_us)
            if codes or session is None:
                _move(connection, held, Step.REFUSE, by=SERVICE, said=codes, now_us=now_us)
            else:
                last = repository.last_counter(connection, held.gateway_id)
                signed = self._signed(held, session.nonce, max(last + 1, now_us), now_us)
                repository.change(
                    connection,
                    held.id,
                    step(held.state, Step.SEND),
                    by=by,
                    said="",
                    at_us=now_us,
                    confirmed_by=held.confirmed_by,
                    counter=signed.counter,
                    nonce=signed.nonce,
                    expires_us=signed.expires_us,
                )
        if codes or session is None:
            raise CommandRefusedError(command_id, codes)
        try:
            # on file as sent before it is: nothing goes out that nobody remembers
            self._publisher.publish(signed.gateway, wire.pack(signed), LIFETIME_S[signed.action])
        except NotHandedOverError as error:
            log.warning("command_not_handed_over", id=command_id, reason=str(error))
            with self._engine.begin() as connection:
                held = repository.command_of(connection, held.project_id, command_id, lock=True)
                said = ("not_handed_over",)
                now_us = self._now_us()
                _move(connection, held, Step.NOT_HANDED_OVER, by=SERVICE, said=said, now_us=now_us)
            raise CommandRefusedError(command_id, said) from error

    def _signed(self, held: Asked, nonce: str, counter: int, now_us: int) -> wire.Command:
        command = wire.Command(
            id=held.id,
            gateway=held.gateway_id,
            target=held.target,
            action=held.action,
            nonce=nonce,
            counter=counter,
            expires_us=now_us + LIFETIME_S[held.action] * 1_000_000,
            actor=held.asked_by,
            pulse_ms=held.pulse_ms,
            dry_run=held.dry_run,
        )
        return wire.sign(open_key(self._key_file), command)

    def _found(self, command_id: str) -> Asked:
        with self._engine.connect() as connection:
            found = repository.find(connection.execution_options(readonly=True), command_id)
        if found is None:
            message = f"command {command_id!r} is unknown"
            raise NotFoundError(message)
        return found


def sentence(code: str) -> str:
    """Return a code of refusal in words."""
    return OTHER_REASONS.get(code) or SENTENCES[Reason(code)]


def check_role(person: Person, action: Action, roles: frozenset[str]) -> None:
    """ForbiddenError unless a person's role is one of these."""
    if person.role not in roles:
        message = f"{action}: role {person.role} may not; allowed: {', '.join(sorted(roles))}"
        raise ForbiddenError(message)


def hear(connection: Connection, gateway: str, event: Event, now_us: int) -> None:
    """Take what a gateway says of a command that it was sent; all other events pass."""
    if event.kind not in (RESULT, TAKEN):
        return
    held = repository.find(connection, _text(event.body.get("id")), lock=True)
    if held is None or held.gateway_id != gateway:
        return
    if event.kind == TAKEN:
        repository.note(connection, held.id, by=gateway, said="", at_us=now_us)
        return
    outcome, said = _text(event.body.get("outcome")), _text(event.body.get("reason"))
    try:
        state = step(held.state, Step(outcome))
    except (ValueError, RefusedError):
        # what has ended stays so: the trail has both
        repository.note(connection, held.id, by=gateway, said=f"{outcome}: {said}", at_us=now_us)
        return
    repository.change(connection, held.id, state, by=gateway, said=said, at_us=now_us)


def give_up(connection: Connection, now_us: int) -> None:
    """End what waited for too long: a confirmation, its sending, an answer."""
    for each in repository.unended(connection):
        held = repository.find(connection, each.id, lock=True) or each
        said: tuple[str, ...] = ()
        match held.state:
            case State.WAITING if now_us - held.asked_us > WAITS_US:
                said, by = ("nobody_confirmed",), Step.REFUSE
            case State.ASKED if now_us - held.asked_us > UNSENT_US:
                said, by = ("never_sent",), Step.REFUSE
            case State.SENT if now_us - (held.expires_us or 0) > ANSWER_US:
                by = Step.SILENCE
            case _:
                continue
        _move(connection, held, by, by=SERVICE, said=said, now_us=now_us)


def _reasons_against(connection: Connection, held: Asked, *, now_us: int) -> tuple[str, ...]:
    session = repository.lock_gateway(connection, held.gateway_id)
    codes: list[str] = []
    if session is None or not 0 <= now_us - session.hello_us <= HELLO_FOR_US:
        codes.append("not_connected")
    if repository.is_clone_suspected(connection, held.gateway_id):
        codes.append("clone_suspected")
    if permissions.cuts_off(held.action, feeds=_feeds(connection, held, now_us)):
        facts = terms.facts_of(
            connection,
            held.project_id,
            held.target,
            asked_by=held.asked_by,
            confirmed_by=held.confirmed_by,
            now_us=now_us,
            lifetime_s=LIFETIME_S[held.action],
        )
        codes += cutting_off.judge(facts)
    return tuple(codes)


def _feeds(connection: Connection, held: Asked, now_us: int) -> bool:
    return bool(held.target) and bool(terms.feeds_of(connection, held.target, now_us))


def _move(
    connection: Connection,
    held: Asked,
    to: Step,
    *,
    by: str,
    said: tuple[str, ...],
    now_us: int,
) -> None:
    state = step(held.state, to)
    repository.change(connection, held.id, state, by=by, said=" ".join(said), at_us=now_us)


def _identity(person: Person, key: str) -> str:
    text = "\0".join((person.project_id, person.username, key or secrets.token_hex(16)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _gateway(connection: Connection, project_id: str, wanted: Wanted) -> str:
    if bool(wanted.device) is (wanted.action in permissions.OF_GATEWAY):
        what = "a gateway" if wanted.action in permissions.OF_GATEWAY else "a device"
        message = f"{wanted.action}: allowed is {what} to ask it of"
        raise RefusedError(message)
    if wanted.device:
        return repository.gateway_of(connection, project_id, wanted.device)
    repository.check_gateway(connection, project_id, wanted.gateway)
    return wanted.gateway


def _fresh(person: Person, wanted: Wanted, identity: str, gateway: str, *, now_us: int) -> Asked:
    return Asked(
        id=identity,
        project_id=person.project_id,
        gateway_id=gateway,
        target=wanted.device,
        action=wanted.action,
        pulse_ms=wanted.pulse_ms,
        dry_run=wanted.dry_run,
        asked_by=person.username,
        why=_text(wanted.why.strip()),
        asked_us=now_us,
        confirmed_by=None,
        state=State.ASKED,
        counter=None,
        nonce=None,
        expires_us=None,
        said="",
        changed_us=now_us,
    )


def _same(held: Asked, wanted: Wanted, gateway: str) -> Asked:
    before = (held.gateway_id, held.target, held.action, held.pulse_ms, held.dry_run)
    if before != (gateway, wanted.device, wanted.action, wanted.pulse_ms, wanted.dry_run):
        message = f"key: {wanted.key!r}: it asked for {held.action} of {held.target!r} before"
        raise RefusedError(message)
    if held.state is State.REFUSED and held.counter is None:
        raise CommandRefusedError(held.id, tuple(held.said.split()))
    return held


def _text(value: EventValue) -> str:
    # a database keeps no NUL, and a gateway may say anything
    return str(value or "").replace("\0", "")[:300]
