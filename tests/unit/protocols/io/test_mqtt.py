"""Where the broker is: every part of the URL, and what is refused."""

import pytest

from protocols.io.mqtt import Broker


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://127.0.0.1", Broker("127.0.0.1", 1883, None, None, tls=False)),
        ("mqtts://broker.example", Broker("broker.example", 8883, None, None, tls=True)),
        ("mqtt://u%40x:p%2Fw@[::1]:1999", Broker("::1", 1999, "u@x", "p/w", tls=False)),
    ],
)
def test_parts(url: str, expected: Broker) -> None:
    assert Broker.parse(url) == expected


@pytest.mark.parametrize("url", ["", "127.0.0.1", "http://127.0.0.1", "mqtt://", "mqtt://h:99999"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"allowed are mqtt://|Port out of range"):
        Broker.parse(url)


def test_a_refusal_keeps_the_password_to_itself() -> None:
    for url in ("http://me:secret@host", "mqtt://me:secret@host:port"):
        with pytest.raises(ValueError, match="host") as caught:
            Broker.parse(url)
        assert "secret" not in str(caught.value)
