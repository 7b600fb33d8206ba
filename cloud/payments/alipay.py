"""Alipay, 当面付 precreate: RSA2 signed requests, verified answers and notifications.

https://opendocs.alipay.com/common/02kf5q (signatures), /open/f540afd8 (precreate).
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from cloud.money import fen_to_yuan, yuan_to_fen
from cloud.payments.channel import (
    ChannelRefusedError,
    ChannelUnreachableError,
    Evidence,
    ForgedError,
    RefundStatus,
    RefundTold,
    RefundWanted,
    Reply,
    Status,
    Told,
    Wanted,
)
from cloud.payments.signing import is_signed, sign
from cloud.payments.transport import send
from protocols.delivery.records import instant, microseconds

_ZONE: Final = ZoneInfo("Asia/Shanghai")
_OK: Final = "10000"
_REFUSED: Final = "40004"
_GONE: Final = "ACQ.TRADE_NOT_EXIST"
# what it does not sign
_UNSIGNED: Final = frozenset({"sign", "sign_type"})
_STATES: Final = {
    "TRADE_SUCCESS": Status.PAID,
    "TRADE_FINISHED": Status.PAID,
    "TRADE_CLOSED": Status.CLOSED,
    "WAIT_BUYER_PAY": Status.OPEN,
}


@dataclass(frozen=True)
class AlipayMerchant:
    """Who we are at Alipay, and by which key it signs."""

    app_id: str
    seller_id: str
    key: RSAPrivateKey = field(repr=False)
    alipay_key: RSAPublicKey = field(repr=False)
    url: str
    notify_url: str


class AlipayChannel:
    """Alipay as a channel."""

    name = "alipay"

    def __init__(self, merchant: AlipayMerchant, *, now_s: Callable[[], float] = time.time) -> None:
        self._merchant = merchant
        self._now_s = now_s

    @property
    def app_id(self) -> str:
        """Return the app id 应用 ID."""
        return self._merchant.app_id

    @property
    def merchant_id(self) -> str:
        """Return the seller id 商户 PID."""
        return self._merchant.seller_id

    def create(self, wanted: Wanted) -> str:
        """Make an order; return its qr_code."""
        expires_at = instant(wanted.expires_us).astimezone(_ZONE)
        content = {
            "out_trade_no": wanted.number,
            "total_amount": fen_to_yuan(wanted.amount_fen),
            "subject": wanted.subject,
            "seller_id": self.merchant_id,
            "product_code": "QR_CODE_OFFLINE",
            "time_expire": f"{expires_at:%Y-%m-%d %H:%M:%S}",
        }
        made = self._call("alipay.trade.precreate", content, is_notified=True)
        if not made.answer.qr_code:
            message = "alipay: alipay.trade.precreate: the answer has no qr_code"
            raise ChannelUnreachableError(message)
        return made.answer.qr_code

    def query(self, number: str) -> Told:
        """Say how an order stands; one that nobody scanned is unknown there."""
        try:
            found = self._call("alipay.trade.query", {"out_trade_no": number})
        except ChannelRefusedError as error:
            if error.code == _GONE:
                return Told(number, Status.UNKNOWN, Evidence(b""))
            raise
        answer = found.answer
        return Told(
            answer.out_trade_no,
            _status(answer.trade_status, answer.send_pay_date),
            found.evidence,
            transaction_id=answer.trade_no,
            amount_fen=_fen(answer.total_amount),
            paid_us=_us(answer.send_pay_date),
        )

    def close(self, number: str) -> None:
        """Close an unpaid order; ChannelRefusedError where it was paid."""
        try:
            self._call("alipay.trade.close", {"out_trade_no": number})
        except ChannelRefusedError as error:
            if error.code != _GONE:
                raise

    def refund(self, wanted: RefundWanted) -> RefundTold:
        """Give money of a paid order back; the same number again gives nothing more."""
        content = {
            "trade_no": wanted.transaction_id,
            "refund_amount": fen_to_yuan(wanted.amount_fen),
            "out_request_no": wanted.number,
            "refund_reason": wanted.reason[:256],
        }
        self._call("alipay.trade.refund", content)
        # an answer without fund_change Y says only that it was heard: the query confirms
        return self.query_refund(wanted)

    def query_refund(self, wanted: RefundWanted) -> RefundTold:
        """Say how a refund stands; one that has not happened is unknown there."""
        content = {"trade_no": wanted.transaction_id, "out_request_no": wanted.number}
        try:
            answer = self._call("alipay.trade.fastpay.refund.query", content).answer
        except ChannelRefusedError as error:
            if error.code == _GONE:
                return RefundTold(wanted.number, RefundStatus.UNKNOWN)
            raise
        if answer.refund_status != "REFUND_SUCCESS":
            return RefundTold(wanted.number, RefundStatus.UNKNOWN)
        return RefundTold(
            wanted.number,
            RefundStatus.CONFIRMED,
            answer.trade_no,
            _fen(answer.refund_amount),
            answer.refund_status,
        )

    def parse(self, headers: Mapping[str, str], body: bytes) -> Told | None:  # noqa: ARG002 - the port's
        """Verify a notification; None if it is of no trade; ForgedError."""
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
        except ValueError as error:
            message = f"alipay: the notification is no form: {error}"
            raise ForgedError(message) from error
        fields = dict(pairs)
        if len(fields) != len(pairs):
            message = "alipay: the notification names a field twice"
            raise ForgedError(message)
        message_signed = signed_text({k: v for k, v in fields.items() if k not in _UNSIGNED})
        signature = fields.get("sign", "")
        if fields.get("sign_type") != "RSA2" or not is_signed(
            self._merchant.alipay_key, message_signed.encode(), signature
        ):
            message = "alipay: sign: does not fit"
            raise ForgedError(message)
        if "trade_status" not in fields or "out_trade_no" not in fields:
            return None
        return Told(
            fields["out_trade_no"],
            _status(fields["trade_status"], fields.get("gmt_payment", "")),
            Evidence(body, signature, message_signed),
            transaction_id=fields.get("trade_no", ""),
            amount_fen=_fen(fields.get("total_amount", "")),
            # one without them is not for us
            app_id=fields.get("app_id", "missing"),
            merchant_id=fields.get("seller_id", "missing"),
            paid_us=_us(fields.get("gmt_payment", "")),
        )

    def reply(self, *, is_kept: bool) -> Reply:
        """Return what Alipay wants to hear: the word success, or any other to send it again."""
        return Reply(200 if is_kept else 401, b"success" if is_kept else b"fail", "text/plain")

    def _call(
        self, method: str, content: Mapping[str, str], *, is_notified: bool = False
    ) -> "_Called":
        merchant = self._merchant
        # Alipay's clock is Beijing's, wherever this runs
        at = datetime.fromtimestamp(self._now_s(), UTC).astimezone(_ZONE)
        fields = {
            "app_id": merchant.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": f"{at:%Y-%m-%d %H:%M:%S}",
            "version": "1.0",
            "biz_content": msgspec.json.encode(content).decode(),
        }
        if is_notified:
            fields["notify_url"] = merchant.notify_url
        fields["sign"] = sign(merchant.key, signed_text(fields).encode())
        headers = {
            "Content-Type": "application/x-www-form-urlencoded;charset=utf-8",
            "User-Agent": "hutong",
        }
        url = f"{merchant.url}?charset=utf-8"
        answer = send("POST", url, headers=headers, body=urlencode(fields).encode())
        return self._verified(method, answer.body)

    def _verified(self, method: str, body: bytes) -> "_Called":
        # the signature covers the value byte for byte as it was sent
        name = f"{method.replace('.', '_')}_response"
        try:
            text = body.decode()
            document = json.loads(text)
            signed, signature = _value_text(text, name), str(document["sign"])
        except (ValueError, KeyError, TypeError):
            said = body[:300].decode(errors="replace")
            message = f"alipay: {method}: no signed answer: {said}"
            raise ChannelUnreachableError(message) from None
        if not is_signed(self._merchant.alipay_key, signed.encode(), signature):
            message = f"alipay: {method}: the answer's sign does not fit"
            raise ChannelUnreachableError(message)
        try:
            answer = msgspec.json.decode(signed, type=_AlipayAnswer)
        except msgspec.DecodeError as error:
            message = f"alipay: {method}: a signed answer is not understood: {error}"
            raise ChannelUnreachableError(message) from error
        if answer.code == _OK:
            return _Called(answer, Evidence(body, signature, signed))
        code = answer.sub_code or answer.code
        if answer.code == _REFUSED and code != "ACQ.SYSTEM_ERROR":
            raise ChannelRefusedError(code, answer.sub_msg or answer.msg)
        message = f"alipay: {method}: {code}: {answer.sub_msg or answer.msg}"
        raise ChannelUnreachableError(message)


def signed_text(fields: Mapping[str, str]) -> str:
    """Return what is signed: key=value in the order of keys, empty ones left out."""
    return "&".join(f"{key}={value}" for key, value in sorted(fields.items()) if value)


class _AlipayAnswer(msgspec.Struct):
    code: str
    msg: str = ""
    sub_code: str = ""
    sub_msg: str = ""
    out_trade_no: str = ""
    trade_no: str = ""
    trade_status: str = ""
    total_amount: str = ""
    send_pay_date: str = ""
    qr_code: str = ""
    refund_status: str = ""
    refund_amount: str = ""


@dataclass(frozen=True)
class _Called:
    answer: _AlipayAnswer
    evidence: Evidence


def _value_text(text: str, name: str) -> str:
    # the text of a top-level value, byte for byte
    decoder, place = json.JSONDecoder(), text.index("{") + 1
    while True:
        key, place = decoder.raw_decode(text, _past(text, place, " \t\r\n,"))
        begin = _past(text, place, " \t\r\n:")
        _, place = decoder.raw_decode(text, begin)
        if key == name:
            return text[begin:place]


def _past(text: str, place: int, letters: str) -> int:
    while place < len(text) and text[place] in letters:
        place += 1
    return place


def _status(word: str, paid_at: str) -> Status:
    # closed is also what was given back whole: it was paid all the same
    if word == "TRADE_CLOSED" and paid_at:
        return Status.PAID
    return _STATES.get(word, Status.OPEN)


def _fen(yuan: str) -> int | None:
    try:
        return yuan_to_fen(yuan)
    except ValueError:
        return None


def _us(local: str) -> int | None:
    try:
        return microseconds(datetime.fromisoformat(local).replace(tzinfo=_ZONE))
    except ValueError:
        return None
