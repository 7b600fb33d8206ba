"""Everything that Hutong reports as wrong, as one tree that says who is to blame."""


class HutongError(Exception):
    """Something is wrong and the message says what; callers print it, never a traceback."""


class ConfigError(HutongError):
    """A file or option is wrong; one line per fault: `file: key: value: what is allowed`."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ProtocolError(HutongError):
    """A conversation with a device or service failed."""


class LinkError(ProtocolError):
    """Nobody answered: no connection, or silence until the timeout."""


class DeviceError(ProtocolError):
    """The device answered and refused; `code` is its own error code."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class WireError(ProtocolError):
    """What arrived is no valid answer: checksum, length, address or number don't fit."""
