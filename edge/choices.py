"""Options of the command line that name several of what is known."""

from collections.abc import Sequence

from protocols.errors import ConfigError


def chosen(option: str, text: str, known: Sequence[str]) -> list[str]:
    """Return the names in comma-separated text, each once, all known ones for an empty text.

    ConfigError for a name that is not known.
    """
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            message = f"{option}: {name!r}: allowed are {', '.join(known)}"
            raise ConfigError(message)
    return list(dict.fromkeys(wanted)) or list(known)
