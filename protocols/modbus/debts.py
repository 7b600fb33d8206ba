"""Answers that units of a serial line still owe: which could be taken for the next one's."""

from dataclasses import dataclass, field, replace

from protocols.modbus.frames import rtu_reply_length
from protocols.modbus.requests import READ_BITS, Request

# A serial server may hold a frame back for seconds; what is older than this has gone by.
REMEMBER_S = 60.0
# Radio between meter and gateway may let a later answer overtake, but not for long.
OVERTAKE_S = 3.0


@dataclass(slots=True)
class _Debt:
    function: int
    length: int
    asked_s: float
    settled: bool = False


@dataclass
class Debts:
    """RTU answers carry no address: one that comes late passes for the next of its length.

    A line delivers in order. So one answer that cannot be a late one proves that everything owed
    before it has come or never will; and of more answers than are owed, the last is no late one.
    """

    _owed: dict[int, list[_Debt]] = field(default_factory=dict)

    def owe(self, request: Request, now_s: float) -> None:
        """Note a request that nobody answered (in time)."""
        debt = _Debt(request.function, rtu_reply_length(request), now_s)
        self._owed.setdefault(request.unit_id, []).append(debt)

    def settle(self, unit_id: int) -> None:
        """Believe that nothing is owed any more: an answer has come that could not be a late one.

        For a short while an answer that was overtaken could still come.
        """
        for debt in self._owed.get(unit_id, ()):
            debt.settled = True

    def pay(self, unit_id: int, pdu: bytes) -> bool:
        """Strike off the debt that a late frame pays; whether there was one."""
        owed = self._owed.get(unit_id, [])
        for debt in owed:
            refused = len(pdu) == _REFUSAL and pdu[0] == debt.function | 0x80
            if refused or (pdu[0] == debt.function and len(pdu) == debt.length - _AROUND):
                owed.remove(debt)
                return True
        return False

    def count(self, unit_id: int, now_s: float) -> int:
        """How many answers a unit may still send late, in order."""
        return sum(not debt.settled for debt in self._open(unit_id, now_s))

    def is_doubtful(self, request: Request, now_s: float) -> bool:
        """Whether a late answer could pass for this request's."""
        mine = (request.function, rtu_reply_length(request))
        return any(
            (debt.function, debt.length) == mine for debt in self._open(request.unit_id, now_s)
        )

    def settling(self, request: Request, now_s: float) -> Request | None:
        """The read to make first, of registers that `request` wants anyway; None if none helps.

        Its answer has a length that no late one has.
        """
        if request.function in READ_BITS:
            return None
        open_debts = self._open(request.unit_id, now_s)
        lengths = {debt.length for debt in open_debts if debt.function == request.function}
        for count in range(request.count - 1, 0, -1):
            shorter = replace(request, count=count)
            if rtu_reply_length(shorter) not in lengths:
                return shorter
        return None

    def _open(self, unit_id: int, now_s: float) -> list[_Debt]:
        owed = self._owed.get(unit_id)
        if not owed:
            return []
        owed[:] = [
            debt
            for debt in owed
            if now_s - debt.asked_s < (OVERTAKE_S if debt.settled else REMEMBER_S)
        ]
        return owed


# Bytes of a refusal's PDU, and of unit id and checksum around any PDU.
_REFUSAL = 2
_AROUND = 3
