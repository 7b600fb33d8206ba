"""Requests to a channel over HTTPS: bounded in time and size, never redirected."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import httpx

from cloud.payments.channel import ChannelUnreachableError

_TIMEOUT: Final = httpx.Timeout(8.0, connect=4.0)
_MOST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back; headers by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def send(method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
    """Send a request; ChannelUnreachableError where no whole answer came."""
    try:
        with (
            httpx.Client(verify=_tls(), timeout=_TIMEOUT) as client,
            client.stream(method, url, headers=dict(headers), content=body) as response,
        ):
            content = b""
            for part in response.iter_bytes():
                content += part
                if len(content) > _MOST_BYTES:
                    message = f"{url}: the answer has over {_MOST_BYTES} bytes"
                    raise ChannelUnreachableError(message)
            named = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, named, content)
    except httpx.HTTPError as error:
        message = f"{url}: {type(error).__name__}: {error}"
        raise ChannelUnreachableError(message) from error


@cache
def _tls() -> ssl.SSLContext:
    # reading the certificates takes longer than a request on loopback
    return httpx.create_ssl_context()
