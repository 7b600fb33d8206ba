"""Both channels against their side on loopback: signatures for real, both ways, and every fault."""

import json
import time
from pathlib import Path

import pytest

from cloud.config import Settings
from cloud.errors import CloudError
from cloud.payments.channel import (
    ChannelRefusedError,
    ChannelUnreachableError,
    ForgedError,
    RefundStatus,
    RefundWanted,
    Status,
    Wanted,
)
from cloud.payments.merchants import channels_of
from cloud.payments.wechat import WechatChannel
from tests.fixtures.payment_counterpart import Counterpart, rsa_key, settings_for

NUMBER = "H20261122100000ABCDEF012345"
WANTED = Wanted(NUMBER, 123_45, "青松花园 1号楼 101", 1_800_000_000_000_000)
both = pytest.mark.parametrize("name", ["wechat", "alipay"])


def refund_of(counterpart: Counterpart, name: str, fen: int, number: str = "T1") -> RefundWanted:
    trade = counterpart.books(name).trades[NUMBER]
    return RefundWanted(number, NUMBER, trade.transaction_id, fen, trade.amount_fen, "多付")


@both
def test_an_order_is_made_paid_and_given_back(counterpart: Counterpart, name: str) -> None:
    channel, books = counterpart.channels[name], counterpart.books(name)
    opens = channel.create(WANTED)
    assert opens.startswith({"wechat": "weixin://", "alipay": "https://qr.alipay.com/"}[name])
    assert channel.create(WANTED) == opens
    assert counterpart.side(name).notify_url == f"https://pay.example/payments/{name}/notify"
    assert channel.query(NUMBER).status is {"wechat": Status.OPEN, "alipay": Status.UNKNOWN}[name]
    assert channel.query("H0000000").status is Status.UNKNOWN
    assert books.pay(NUMBER)
    told = channel.query(NUMBER)
    assert (told.status, told.amount_fen, told.currency) == (Status.PAID, 123_45, "CNY")
    assert told.transaction_id == books.trades[NUMBER].transaction_id
    paid_at = books.trades[NUMBER].paid_at
    assert paid_at is not None
    assert told.paid_us == int(paid_at.timestamp()) * 1_000_000
    with pytest.raises(ChannelRefusedError):
        channel.close(NUMBER)
    wanted = refund_of(counterpart, name, 100)
    assert channel.query_refund(wanted).status is RefundStatus.UNKNOWN
    assert channel.refund(wanted).status is RefundStatus.CONFIRMED
    assert channel.refund(wanted).amount_fen == 100
    assert channel.query_refund(wanted).status is RefundStatus.CONFIRMED
    assert [each.amount_fen for each in books.refunds.values()] == [100]
    with pytest.raises(ChannelRefusedError):
        channel.refund(refund_of(counterpart, name, 123_45, "T2"))


@both
def test_a_closed_order_cannot_be_paid(counterpart: Counterpart, name: str) -> None:
    channel, books = counterpart.channels[name], counterpart.books(name)
    channel.create(WANTED)
    books.trades[NUMBER].is_scanned = True
    channel.close(NUMBER)
    channel.close("H0000000")
    assert not books.pay(NUMBER)
    assert channel.query(NUMBER).status is Status.CLOSED


@both
@pytest.mark.parametrize("fault", ["lost", "flipped", "unsigned", "foreign", "old", "broken"])
def test_what_is_not_signed_says_nothing(counterpart: Counterpart, name: str, fault: str) -> None:
    channel, books = counterpart.channels[name], counterpart.books(name)
    channel.create(WANTED)
    books.pay(NUMBER)
    books.faults.append(fault)
    with pytest.raises(ChannelUnreachableError):
        channel.query(NUMBER)
    assert channel.query(NUMBER).status is Status.PAID


def test_nobody_listens(tmp_path: Path) -> None:
    channels = channels_of(settings_for(tmp_path, "http://127.0.0.1:1"))
    for channel in channels.values():
        with pytest.raises(ChannelUnreachableError, match=r"127\.0\.0\.1:1"):
            channel.query(NUMBER)


@both
def test_the_channel_refuses_another_key_of_ours(counterpart: Counterpart, name: str) -> None:
    key = {"wechat": "wechat_merchant_key_file", "alipay": "alipay_private_key_file"}[name]
    file = getattr(counterpart.settings, key)
    other = {"wechat": "alipay_private_key_file", "alipay": "wechat_merchant_key_file"}[name]
    file.write_bytes(getattr(counterpart.settings, other).read_bytes())
    channel = channels_of(counterpart.settings)[name]
    with pytest.raises(ChannelUnreachableError, match=r"SIGN_ERROR|invalid-signature"):
        channel.create(WANTED)
    assert not counterpart.books(name).trades


@both
def test_a_notification_says_what_was_paid(counterpart: Counterpart, name: str) -> None:
    channel, side = counterpart.channels[name], counterpart.side(name)
    channel.create(WANTED)
    side.books.pay(NUMBER)
    headers, body = side.notification(NUMBER)
    told = channel.parse(headers, body)
    assert told is not None
    assert (told.status, told.number, told.amount_fen) == (Status.PAID, NUMBER, 123_45)
    assert (told.app_id, told.merchant_id) == (channel.app_id, channel.merchant_id)
    assert told.transaction_id == side.books.trades[NUMBER].transaction_id
    assert told.evidence.body == body
    assert NUMBER in told.evidence.plain


@both
def test_a_forged_notification_is_refused(counterpart: Counterpart, name: str) -> None:
    channel, side = counterpart.channels[name], counterpart.side(name)
    channel.create(WANTED)
    side.books.pay(NUMBER)
    with pytest.raises(ForgedError, match="does not fit"):
        channel.parse(*side.notification(NUMBER, key=rsa_key("forger")))
    with pytest.raises(ForgedError):
        channel.parse({}, b"")
    headers, body = side.notification(NUMBER)
    for place in range(0, len(body), 7):
        flipped = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises(ForgedError):
            channel.parse(headers, flipped)
    with pytest.raises(ForgedError):
        channel.parse(headers, body + b"&total_amount=0.01")
    for header in ("wechatpay-timestamp", "wechatpay-nonce", "wechatpay-serial"):
        if header in headers:
            with pytest.raises(ForgedError):
                channel.parse(headers | {header: "1"}, body)


@pytest.mark.parametrize("age_s", [310, -310])
def test_an_old_notification_of_wechat_is_refused(counterpart: Counterpart, age_s: int) -> None:
    channel, side = counterpart.channels["wechat"], counterpart.wechat
    channel.create(WANTED)
    side.books.pay(NUMBER)
    fresh = side.notification(NUMBER, at_s=time.time() - age_s * 0.9)
    assert channel.parse(*fresh) is not None
    with pytest.raises(ForgedError, match="wechatpay-timestamp"):
        channel.parse(*side.notification(NUMBER, at_s=time.time() - age_s))


def test_wechat_by_another_api_key(counterpart: Counterpart) -> None:
    channel, side = counterpart.channels["wechat"], counterpart.wechat
    channel.create(WANTED)
    side.books.pay(NUMBER)
    side.api_key = b"x" * 32
    with pytest.raises(ForgedError, match="HUTONG_WECHAT_API_KEY_FILE"):
        channel.parse(*side.notification(NUMBER))


def test_a_notification_of_something_else(counterpart: Counterpart) -> None:
    resource = {"algorithm": "", "ciphertext": "", "nonce": ""}
    body = json.dumps({"event_type": "REFUND.SUCCESS", "resource": resource}).encode()
    assert counterpart.channels["wechat"].parse(counterpart.wechat.signed(body), body) is None


def test_the_clock_of_wechat_requests_is_checked_there(counterpart: Counterpart) -> None:
    channel = counterpart.channels["wechat"]
    assert isinstance(channel, WechatChannel)
    late = WechatChannel(channel._merchant, now_s=lambda: time.time() - 400)
    with pytest.raises(ChannelUnreachableError, match="timestamp"):
        late.create(WANTED)


def test_without_keys_there_is_no_channel() -> None:
    assert channels_of(Settings()) == {}


@both
def test_half_a_merchant_is_refused_by_name(counterpart: Counterpart, name: str) -> None:
    missing = {"wechat": "wechat_platform_serial", "alipay": "alipay_seller_id"}[name]
    settings = counterpart.settings.model_copy(update={missing: ""})
    with pytest.raises(CloudError, match=f"environment: HUTONG_{missing.upper()}: missing"):
        channels_of(settings)
    settings = counterpart.settings.model_copy(update={"public_url": ""})
    with pytest.raises(CloudError, match="HUTONG_PUBLIC_URL: missing"):
        channels_of(settings)


@pytest.mark.parametrize(
    ("setting", "content", "says"),
    [
        ("wechat_merchant_key_file", b"secret", "an RSA private key without password"),
        ("wechat_merchant_key_file", None, "cannot be read"),
        ("wechat_api_key_file", b"short", "5 bytes: allowed is an APIv3 key of 32"),
        ("wechat_platform_key_file", b"-----BEGIN PUBLIC KEY-----", "an RSA public key"),
        ("alipay_public_key_file", b"MIIB", "an RSA public key"),
    ],
)
def test_a_wrong_key_file_is_named(
    counterpart: Counterpart, setting: str, content: bytes | None, says: str
) -> None:
    file: Path = getattr(counterpart.settings, setting)
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(CloudError, match=says) as caught:
        channels_of(counterpart.settings)
    assert f"environment: HUTONG_{setting.upper()}: {file}" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_merchant_shows_no_key(counterpart: Counterpart) -> None:
    channel = counterpart.channels["wechat"]
    assert isinstance(channel, WechatChannel)
    assert "0123456789abcdef" not in repr(channel._merchant)
