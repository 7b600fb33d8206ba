"""A simulated meter: its profile's registers, filled from its sources at any instant."""

from collections.abc import Mapping, Sequence

from devices.profile import Profile
from devices.simulated.fault_kinds import KINDS
from devices.simulated.faults import Fault
from devices.simulated.line_faults import LineFaults
from devices.simulated.meter_faults import MeterFaults
from devices.simulated.quantities import Source
from devices.simulated.register_map import RegisterMap, View
from devices.simulated.relay import Relay
from protocols.errors import DeviceError, LinkError, WireError
from protocols.modbus.frames import exception_pdu, parse_request_pdu, reply_pdu


class SimulatedMeter:
    """Answers reads as the real meter of its profile would, misbehaving where a fault says so.

    `line` is what a server must heed when it sends this meter's replies, None for nothing.
    """

    def __init__(
        self,
        device: str,
        profile: Profile,
        sources: Mapping[str, Source],
        *,
        faults: Sequence[Fault] = (),
        seed: int = 0,
    ) -> None:
        """`sources` gives each of the profile's points its count at an instant; ConfigError."""
        self.device = device
        self.profile = profile
        self.faults = tuple(faults)
        self._map = RegisterMap(profile, sources)
        self._views: dict[tuple[int, int, int], View] = {}
        told = [fault for fault in faults if KINDS[fault.kind].words]
        sent = [fault for fault in faults if not KINDS[fault.kind].words]
        self._faulty = MeterFaults(device, self._map, told, seed=seed) if told else None
        self.line = LineFaults(device, sent, seed=seed) if sent else None
        self.relay = Relay(profile.controls) if profile.controls else None

    @property
    def writes(self) -> int:
        """How many writes it has taken, which only a `writable` meter does."""
        return 0 if self._faulty is None else self._faulty.writes

    def words(self, function: int, address: int, count: int, at_us: int) -> tuple[int, ...]:
        """Register words at an instant; DeviceError if it refuses, LinkError if it is mute."""
        if self._faulty is not None:
            return self._faulty.words(function, address, count, at_us)
        view = self._views.get((function, address, count))
        if view is None:
            view = self._map.view(function, address, count, self._map.limits)
            self._views[function, address, count] = view
        if view.only is not None:
            return view.only.read(at_us)
        words = [0] * view.count
        for register, place, first, last in view.parts:
            words[place : place + last - first] = register.read(at_us)[first:last]
        return tuple(words)

    def reply(self, unit_id: int, pdu: bytes, at_us: int) -> bytes | None:
        """The reply PDU to a request PDU, None if the meter says nothing."""
        try:
            if self._faulty is not None:
                self._faulty.check_awake(at_us)
            request = parse_request_pdu(unit_id, pdu)
            if self._faulty is not None and self._faulty.takes(request, at_us):
                return reply_pdu(request)
            if self.relay is not None:
                if self.relay.takes(request):
                    return reply_pdu(request)
                if (held := self.relay.reads(request)) is not None:
                    return reply_pdu(request, held)
            words = self.words(request.function, request.address, request.count, at_us)
            return reply_pdu(request, words)
        except DeviceError as error:
            return exception_pdu(pdu[0] if pdu else 0, error.code)
        except (LinkError, WireError):
            return None
