"""Reminders that are sent: kept with the reminder, at least once, not at night, not too many."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import structlog
from pydantic import SecretStr, ValidationError
from sqlalchemy import Engine, func, select

from cloud.config import Settings
from cloud.errors import RefusedError
from cloud.ledger import arrears, service, tenancies
from cloud.ledger.arrears_tables import reminders
from cloud.ledger.entries import Charge
from cloud.ledger.service import Teller
from cloud.notify import outbox, pacing
from cloud.notify.notifier import Notifier, Outgoing
from cloud.notify.outbox import Message, State
from cloud.notify.reminding import remind
from cloud.notify.sender import Sender, notifiers_of
from cloud.notify.tables import messages
from tests.fixtures.estate import at, premise, put_on_file

DAY = "2026-10-05"
SECRET = "sk-very-secret"


@dataclass
class Supplier:
    """A supplier of short messages on this machine: it answers as told, and keeps what came."""

    url: str
    answers: list[tuple[int, str]] = field(default_factory=list)
    came: list[tuple[dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def supplier() -> Iterator[Supplier]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            found.came.append((dict(self.headers), json.loads(raw)))
            status, text = found.answers.pop(0) if found.answers else (200, '{"code": "OK"}')
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Supplier(f"http://127.0.0.1:{server.server_address[1]}/send")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def estate(engine: Engine) -> Engine:
    """Give three homes that owe something, one without a phone."""
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 1, 1),
            premises=[
                premise("1-101", phone="13800000001"),
                premise("1-102", phone="13800000002"),
                premise("1-103"),
            ],
            meters=[],
        )
        charge = Charge("2026-08", "property-fee")
        owed = {name: (name, charge, 700_00) for name in ("1-101", "1-102", "1-103")}
        service.post_bills(connection, Teller("p", "run", at("2026-09-01T00:00:00")), owed)
    return engine


@contextmanager
def clock(monkeypatch: pytest.MonkeyPatch, when: str) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr("cloud.notify.sender._now_us", lambda: at(when))
        yield


def by_sms(supplier: Supplier, **changed: Any) -> Settings:  # noqa: ANN401 - settings of many types
    return Settings(
        sms_url=supplier.url,
        sms_headers={"Authorization": SecretStr(SECRET)},
        sms_body='{"to": ["{phone}"], "content": "{text}", "n": 1, "ref": "{id}"}',
        sms_accepted='"OK"',
        **changed,
    )


def reminded(
    engine: Engine, settings: Settings, account: str = "1-101", when: str = f"{DAY}T12:00:00"
) -> None:
    with engine.begin() as connection:
        teller = Teller("p", "wang", at(when))
        remind(connection, teller, account, settings=settings, channel="message")


def sender(engine: Engine, settings: Settings) -> Sender:
    return Sender(engine, notifiers_of(settings), per_day=settings.notify_per_day)


def kept(engine: Engine, account: str = "1-101") -> list[Message]:
    with engine.connect() as connection:
        return list(outbox.messages_of(connection, [account]).values())


def days_reminded(engine: Engine) -> list[date]:
    with engine.connect() as connection:
        return arrears.reminded_on(connection, "p", "1-101")


def test_a_message_is_sent_once_and_says_so(
    estate: Engine, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = by_sms(supplier)
    reminded(estate, settings)
    (waiting,) = kept(estate)
    assert (waiting.state, waiting.attempts) == (State.WAITING, 0)
    with clock(monkeypatch, f"{DAY}T12:00:05"):
        assert sender(estate, settings).step() == 1
        assert sender(estate, settings).step() == 0
    ((headers, body),) = supplier.came
    assert headers["Authorization"] == SECRET
    assert body == {
        "to": ["13800000001"],
        "content": "【小区】业主 1-101：截至 2026-10-05，1-101 尚有 700.00 元未缴，请及时缴纳。",
        "n": 1,
        "ref": str(waiting.id),
    }
    (sent,) = kept(estate)
    assert (sent.state, sent.sent_us) == (State.SENT, at(f"{DAY}T12:00:05"))


def test_what_is_refused_is_tried_again_and_given_up_in_the_end(
    estate: Engine, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = by_sms(supplier)
    supplier.answers += [(503, ""), (200, '{"code": "NO_CREDIT"}'), (302, "")]
    supplier.answers += [(500, "")] * 20
    reminded(estate, settings)
    reasons: list[str] = []
    when = at(f"{DAY}T12:00:00")
    with structlog.testing.capture_logs() as told:
        for _ in range(40):
            monkeypatch.setattr("cloud.notify.sender._now_us", lambda when=when: when)
            sender(estate, settings).step()
            (message,) = kept(estate)
            reasons.append(message.reason)
            when = message.next_us
            if message.state is State.GIVEN_UP:
                break
            assert message.state in {State.FAILED, State.WAITING}
    assert (message.state, message.attempts) == (State.GIVEN_UP, pacing.MOST_ATTEMPTS)
    assert days_reminded(estate) == [], "nobody heard of it"
    assert len(supplier.came) == pacing.MOST_ATTEMPTS, "a redirect is not followed"
    assert reasons[:3] == [
        "sms: answer 503",
        "sms: the answer lacks HUTONG_SMS_ACCEPTED: it was not taken",
        "sms: answer 302",
    ]
    assert SECRET not in str(told)
    assert "13800000001" not in str(told)
    assert supplier.url not in str(told)


class _Dying:
    """A way out in which the process dies after the supplier took the message."""

    def __init__(self, way: Notifier) -> None:
        self._way = way

    def send(self, message: Outgoing) -> None:
        self._way.send(message)
        raise KeyboardInterrupt


def test_who_dies_in_an_attempt_leaves_the_message_to_be_sent_again(
    estate: Engine, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = by_sms(supplier)
    reminded(estate, settings)
    dying = Sender(estate, {"sms": _Dying(notifiers_of(settings)["sms"])}, per_day=1)
    with clock(monkeypatch, f"{DAY}T12:00:05"), pytest.raises(KeyboardInterrupt):
        dying.step()
    (message,) = kept(estate)
    assert (message.state, message.attempts) == (State.WAITING, 1)
    with clock(monkeypatch, f"{DAY}T12:00:06"):
        assert sender(estate, settings).step() == 0, "somebody else may be at it"
    with clock(monkeypatch, f"{DAY}T12:01:06"):
        assert sender(estate, settings).step() == 1
    assert len(supplier.came) == 2, "at least once"
    assert supplier.came[0][1]["ref"] == supplier.came[1][1]["ref"]


def test_nobody_is_written_to_at_night(
    estate: Engine, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = by_sms(supplier)
    reminded(estate, settings, when=f"{DAY}T21:30:00")
    for when, sent in (
        (f"{DAY}T21:30:00", 0),
        ("2026-10-06T07:59:59", 0),
        ("2026-10-06T08:00:00", 1),
    ):
        assert days_reminded(estate) == []
        with clock(monkeypatch, when):
            assert sender(estate, settings).step() == sent
    (message,) = kept(estate)
    assert message.attempts == 1
    assert days_reminded(estate) == [date(2026, 10, 6)], "lateness counts from when it went out"


def test_an_account_gets_so_many_a_day(
    estate: Engine, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = by_sms(supplier)
    # last night's waits for the morning, and then a second one is made
    reminded(estate, settings, when="2026-10-04T22:00:00")
    reminded(estate, settings, when=f"{DAY}T09:00:00")
    with pytest.raises(RefusedError, match="was sent a message today"):
        reminded(estate, settings, when=f"{DAY}T09:01:00")
    reminded(estate, settings, "1-102", when=f"{DAY}T09:00:00")
    with clock(monkeypatch, f"{DAY}T09:05:00"):
        assert sender(estate, settings).step() == 2
    with clock(monkeypatch, "2026-10-06T07:00:00"):
        assert sender(estate, settings).step() == 0
    with clock(monkeypatch, "2026-10-06T08:00:00"):
        assert sender(estate, settings).step() == 1
    with estate.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(reminders)) == 3


def test_who_cannot_be_reached_is_not_on_record_as_reminded(
    estate: Engine, supplier: Supplier
) -> None:
    settings = by_sms(supplier)
    with pytest.raises(RefusedError, match="1-103 has no phone"):
        reminded(estate, settings, "1-103")
    with estate.begin() as connection:
        tenancies.move_out(connection, "p", "1-102", on=date(2026, 10, 1))
    # the phone is no longer theirs
    with pytest.raises(RefusedError, match="1-102 has no phone"):
        reminded(estate, settings, "1-102")
    with estate.connect() as connection:
        assert connection.execute(select(reminders)).all() == []
    with estate.begin() as connection:
        teller = Teller("p", "wang", at(f"{DAY}T12:00:00"))
        remind(connection, teller, "1-103", settings=settings, channel="phone")
        assert len(arrears.reminders_of(connection, "p", "1-103")) == 1
        assert connection.execute(select(messages)).all() == []


def test_apprise_sends_by_its_urls(
    estate: Engine, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("apprise")
    url = supplier.url.replace("http://", "json://")
    settings = Settings(notify_urls={"p": [SecretStr(url)]})
    with estate.begin() as connection:
        teller = Teller("p", "wang", at(f"{DAY}T12:00:00"))
        remind(connection, teller, "1-103", settings=settings, channel="mail")
    supplier.answers.append((500, ""))
    with clock(monkeypatch, f"{DAY}T12:00:05"):
        assert sender(estate, settings).step() == 0
    (failed,) = kept(estate, "1-103")
    assert (failed.state, failed.reason) == (
        State.FAILED,
        "apprise: a receiver of p/clerk did not take it",
    )
    with clock(monkeypatch, f"{DAY}T12:02:00"):
        assert sender(estate, settings).step() == 1
    assert "700.00 元" in supplier.came[-1][1]["message"]


def test_a_way_that_is_gone_is_told(
    estate: Engine, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    reminded(estate, by_sms(supplier))
    with clock(monkeypatch, f"{DAY}T12:00:05"):
        Sender(estate, {}, per_day=1).step()
    (message,) = kept(estate)
    assert (message.state, message.reason) == (State.FAILED, "sms: not configured")


def test_nobody_answers(
    estate: Engine, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = by_sms(supplier)
    gone = Settings(**(settings.model_dump() | {"sms_url": "http://127.0.0.1:1/send"}))
    reminded(estate, gone)
    with clock(monkeypatch, f"{DAY}T12:00:05"):
        sender(estate, gone).step()
    (message,) = kept(estate)
    assert message.reason == "sms: no answer: ConnectionRefusedError"


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"sms_url": "http://sms.example/send"}, "https://"),
        ({"sms_url": "ftp://127.0.0.1/"}, "https://"),
        ({"sms_body": "{phone}"}, "JSON"),
        ({"notify_text": "{rent}"}, "amount"),
        ({"notify_per_day": 0}, "greater than"),
    ],
)
def test_settings_that_cannot_be_are_refused(changed: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        Settings(**changed)


def test_an_unknown_url_is_named_without_its_secret() -> None:
    pytest.importorskip("apprise")
    settings = Settings(notify_urls={"p": [SecretStr(f"nothing://{SECRET}")]})
    with pytest.raises(RefusedError, match="HUTONG_NOTIFY_URLS: p: URL 1") as told:
        notifiers_of(settings)
    assert SECRET not in str(told.value)
