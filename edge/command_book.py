"""What the journal remembers of commands: the counter, what is open, and whether all is frozen."""

from typing import Final

import msgspec

from devices.driver import Clock
from edge.journal import Journal
from protocols.commands import Command, Outcome
from protocols.delivery.envelope import LANE_EVENTS
from protocols.delivery.records import Event, EventValue

TAKEN: Final = "command_taken"
RESULT: Final = "command_result"
FROZEN_MARK: Final = "commands_frozen"
BOOK_MARK: Final = "commands"
# as many as could come twice within the life of a session's nonces
_REMEMBERED: Final = 256


class Open(msgspec.Struct, frozen=True):
    """A command that is on disk and whose end is not."""

    id: str
    target: str


class Page(msgspec.Struct, frozen=True):
    """What is remembered: the highest counter, what is open, and the last ids."""

    counter: int = 0
    open: tuple[Open, ...] = ()
    ids: tuple[str, ...] = ()


class CommandBook:
    """Every change is on disk, with the event that tells it, when its method returns.

    JournalFullError says that nothing was noted.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self.page = page_of(journal.mark(BOOK_MARK))

    def frozen(self) -> str:
        """Return why commands are frozen, empty if they are not."""
        return self._journal.mark(FROZEN_MARK) or ""

    def freeze(self, why: str) -> None:
        """Take no command until an operator thaws it."""
        self._journal.append(LANE_EVENTS, [], marks={FROZEN_MARK: why})

    def take(self, command: Command) -> None:
        """Note that a command is about to be acted upon."""
        page = Page(
            command.counter,
            (*self.page.open, Open(command.id, command.target)),
            (*self.page.ids, command.id)[-_REMEMBERED:],
        )
        told: dict[str, EventValue] = {
            "id": command.id,
            "action": command.action.value,
            "actor": command.actor,
            "counter": command.counter,
        }
        self._turn(page, command.target, TAKEN, told)

    def close(self, identity: str, target: str, outcome: Outcome, reason: str) -> None:
        """Note how a command ended, or that it was refused."""
        left = tuple(each for each in self.page.open if each.id != identity)
        page = Page(self.page.counter, left, self.page.ids)
        told: dict[str, EventValue] = {"id": identity, "outcome": outcome.value, "reason": reason}
        self._turn(page, target, RESULT, told)

    def _turn(self, page: Page, device: str, kind: str, body: dict[str, EventValue]) -> None:
        now_us = self._clock.now_us()
        event = Event(device, kind, now_us, self._clock.monotonic_us(), body)
        marks = {BOOK_MARK: msgspec.json.encode(page).decode()}
        self._journal.append(LANE_EVENTS, [event], marks=marks, seal_at_us=now_us)
        self.page = page


def page_of(text: str | None) -> Page:
    """Return what a journal's mark remembers."""
    return Page() if text is None else msgspec.json.decode(text, type=Page)
