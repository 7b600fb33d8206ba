"""What another master on a serial line sends, and what the unit that it asks answers."""

from devices.simulated.load import fraction
from protocols.modbus.frames import Request, reply_pdu, request_pdu, rtu_frame

FOREIGN_UNIT = 200
FOREIGN_PERIOD_S = 0.3
_COUNT = 2


def foreign_frames(number: int) -> tuple[bytes, bytes]:
    """Request and reply of the foreign master's n-th exchange: voltages of a meter of its own."""
    request = Request(FOREIGN_UNIT, 3, 0, _COUNT)
    words = tuple(
        2200 + int(100 * fraction(number, "foreign meter", f"word {place}"))
        for place in range(_COUNT)
    )
    asked, answered = request_pdu(request), reply_pdu(request, words)
    return rtu_frame(FOREIGN_UNIT, asked), rtu_frame(FOREIGN_UNIT, answered)
