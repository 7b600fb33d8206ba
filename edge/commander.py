"""Takes commands: judged, written down, done once, and told, whatever happens in between."""

import asyncio
from collections import Counter
from typing import Final

import structlog

from devices.driver import Clock
from edge.actuator import Actuator, LiveConfig, Order
from edge.command_book import CommandBook
from edge.greetings import Greetings
from edge.journal_errors import JournalFullError
from edge.uplink import Uplink
from protocols.commands import (
    Command,
    Happening,
    Heard,
    Outcome,
    Reason,
    Refused,
    Stage,
    Standing,
    judge,
    move,
)
from protocols.errors import HutongError
from protocols.failpoint import reach

# more at a time only wait for each other, and expire
AT_ONCE: Final = 16
WAITING: Final = 64
# what nobody trusted has signed is told so many times in a row, then once in so long
TOLD_AT_ONCE: Final = 6
TOLD_EACH_US: Final = 60_000_000
RETRY_S: Final = 5.0
LONGEST_REASON: Final = 300
_DRY: Final = "dry run: nothing was done"
_UNTRUSTED: Final = frozenset({Reason.NOT_READABLE, Reason.OTHER_GATEWAY, Reason.UNSIGNED})

log = structlog.get_logger("commander")


class Commander:
    """The gateway's side of commands; `receive` takes them in, `run` does them."""

    def __init__(
        self,
        book: CommandBook,
        actuator: Actuator,
        uplink: Uplink,
        *,
        live: LiveConfig,
        clock: Clock,
    ) -> None:
        self.refused: Counter[Reason] = Counter()
        self._book = book
        self._actuator = actuator
        self._uplink = uplink
        self._live = live
        self._clock = clock
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._writing = asyncio.Lock()
        self._may_tell = TOLD_AT_ONCE
        self._told_us = clock.monotonic_us()
        uplink.commanded = self.receive
        uplink.fenced = self.freeze

    @property
    def _greetings(self) -> Greetings:
        return self._uplink.greetings

    def receive(self, raw: bytes) -> None:
        """Take a command in; where too many wait, it is dropped and expires."""
        try:
            self._waiting.put_nowait(raw)
        except asyncio.QueueFull:
            log.warning("command_dropped", reason=f"{WAITING} wait already")

    def freeze(self) -> None:
        """Take no command until an operator thaws it: somebody else speaks as this gateway."""
        log.error("commands_frozen")
        self._book.freeze("the cloud closed an epoch of this gateway: a clone is suspected")

    async def run(self) -> None:
        """Tell what an earlier run has left open, then take commands for ever."""
        for left in self._book.page.open:
            outcome = move(Stage.JOURNALED, Happening.RESTARTED).outcome or Outcome.UNKNOWN
            await self._close(left.id, left.target, outcome, "the gateway restarted meanwhile")
        async with asyncio.TaskGroup() as acts:
            while True:
                raw = await self._waiting.get()
                await self._slots.acquire()
                order = None
                try:
                    order = await self._take(raw)
                finally:
                    if order is None:
                        self._slots.release()
                if order is not None:
                    acts.create_task(self._do(order), name=f"command-{order.command.id}")

    async def _take(self, raw: bytes) -> Order | None:
        """Return what is on disk and may be done, None for what is refused."""
        reach("command.received")
        now_us = self._clock.monotonic_us()
        config, heard = self._live.config, self._greetings.heard(now_us)
        standing = Standing(
            config.gateway,
            config.trusted_key(),
            self._greetings.nonces(now_us),
            self._book.page.counter,
            heard,
            config.targets(),
            frozen=bool(await asyncio.to_thread(self._book.frozen)),
        )
        found = judge(raw, standing, now_us=now_us)
        if isinstance(found, Refused) or heard is None:
            await self._refuse(found, now_us)
            return None
        reach("command.valid")
        try:
            async with self._writing:
                await asyncio.to_thread(self._book.take, found)
        except JournalFullError as error:
            # what cannot be written down is not done
            log.error("command_refused", id=found.id, reason=str(error))
            return None
        self._uplink.sealed()
        reach("command.journaled")
        log.info("command_taken", id=found.id, action=found.action, target=found.target)
        return Order(found, _before_us(found, heard))

    async def _do(self, order: Order) -> None:
        command = order.command
        try:
            said = _DRY if command.dry_run else await self._actuator.act(order)
            happening = Happening.DONE
        except (HutongError, OSError, TimeoutError) as error:
            said, happening = str(error), Happening.FAILED
        except Exception as error:
            # a fault of the program is told too, and must not end the polling of meters
            log.exception("command_failed", id=command.id)
            said, happening = f"{type(error).__name__}: {error}", Happening.FAILED
        finally:
            self._slots.release()
        reach("command.acted")
        outcome = move(Stage.JOURNALED, happening).outcome or Outcome.UNKNOWN
        await self._close(command.id, command.target, outcome, said)
        reach("command.reported")

    async def _refuse(self, found: Refused | Command, now_us: int) -> None:
        reason = found.reason if isinstance(found, Refused) else Reason.NO_TIME
        self.refused[reason] += 1
        log.warning("command_refused", id=found.id, reason=reason)
        # one that is delivered twice has a result already, or will have
        is_known = found.id in self._book.page.ids
        if is_known or (reason in _UNTRUSTED and not self._may_be_told(now_us)):
            return
        outcome = move(Stage.RECEIVED, Happening.JUDGED_BAD).outcome or Outcome.REFUSED
        await self._close(found.id, "", outcome, reason.value, again=False)

    def _may_be_told(self, now_us: int) -> bool:
        # whoever floods the topic must not fill the journal
        earned = (now_us - self._told_us) // TOLD_EACH_US
        if earned > 0:
            self._may_tell = min(TOLD_AT_ONCE, self._may_tell + earned)
            self._told_us = now_us
        if self._may_tell <= 0:
            return False
        self._may_tell -= 1
        return True

    async def _close(
        self, identity: str, target: str, outcome: Outcome, reason: str, *, again: bool = True
    ) -> None:
        said = reason[:LONGEST_REASON]
        while True:
            try:
                async with self._writing:
                    await asyncio.to_thread(self._book.close, identity, target, outcome, said)
            except JournalFullError as error:
                log.error("result_waits", id=identity, reason=str(error))
                if not again:
                    return
                await asyncio.sleep(RETRY_S)
                continue
            self._uplink.sealed()
            return


def _before_us(command: Command, heard: Heard) -> int:
    # the monotonic instant at which the cloud's time may have reached the end of its life
    return command.expires_us - heard.server_us + heard.asked_us
