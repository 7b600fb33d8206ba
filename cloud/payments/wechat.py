"""WeChat Pay API v3, Native: signed requests, verified answers, decrypted notifications.

https://pay.weixin.qq.com/doc/v3/merchant/4012365342 (signatures), 4012791874 (Native).
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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

SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"
SKEW_S: Final = 300
_ZONE: Final = ZoneInfo("Asia/Shanghai")
_TRY_LATER: Final = 429
_BROKEN: Final = 500
_ORDER: Final = "/v3/pay/transactions/out-trade-no/"
_REFUNDS: Final = "/v3/refund/domestic/refunds"
# a refunded order was paid: what was given back has rows of its own
_STATES: Final = {
    "SUCCESS": Status.PAID,
    "REFUND": Status.PAID,
    "CLOSED": Status.CLOSED,
    "REVOKED": Status.CLOSED,
}
_REFUND_STATES: Final = {
    "SUCCESS": RefundStatus.CONFIRMED,
    "PROCESSING": RefundStatus.WAITING,
    "CLOSED": RefundStatus.FAILED,
    "ABNORMAL": RefundStatus.FAILED,
}
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


@dataclass(frozen=True)
class WechatMerchant:
    """Who we are at WeChat Pay, and by which key it signs."""

    app_id: str
    merchant_id: str
    serial: str
    key: RSAPrivateKey = field(repr=False)
    api_key: bytes = field(repr=False)
    platform_serial: str
    platform_key: RSAPublicKey = field(repr=False)
    url: str
    notify_url: str


class WechatChannel:
    """WeChat Pay as a channel."""

    name = "wechat"

    def __init__(self, merchant: WechatMerchant, *, now_s: Callable[[], float] = time.time) -> None:
        self._merchant = merchant
        self._now_s = now_s

    @property
    def app_id(self) -> str:
        """Return the app id 公众账号 ID."""
        return self._merchant.app_id

    @property
    def merchant_id(self) -> str:
        """Return the merchant id 商户号."""
        return self._merchant.merchant_id

    def create(self, wanted: Wanted) -> str:
        """Make a Native order; return its code_url."""
        expires_at = instant(wanted.expires_us).astimezone(_ZONE)
        body = {
            "appid": self.app_id,
            "mchid": self.merchant_id,
            "description": wanted.subject,
            "out_trade_no": wanted.number,
            "time_expire": expires_at.isoformat(timespec="seconds"),
            "notify_url": self._merchant.notify_url,
            "amount": {"total": wanted.amount_fen, "currency": "CNY"},
        }
        evidence = self._call("POST", "/v3/pay/transactions/native", body)
        return _decoded(evidence.body, _Native).code_url

    def query(self, number: str) -> Told:
        """Say how an order stands."""
        try:
            evidence = self._call("GET", f"{_ORDER}{number}?mchid={self.merchant_id}")
        except ChannelRefusedError as error:
            if error.code in {"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"}:
                return Told(number, Status.UNKNOWN, Evidence(b""))
            raise
        return _told(evidence.body, evidence)

    def close(self, number: str) -> None:
        """Close an unpaid order; ChannelRefusedError where it was paid."""
        try:
            self._call("POST", f"{_ORDER}{number}/close", {"mchid": self.merchant_id})
        except ChannelRefusedError as error:
            if error.code not in {"ORDER_CLOSED", "ORDER_NOT_EXIST", "ORDERNOTEXIST"}:
                raise

    def refund(self, wanted: RefundWanted) -> RefundTold:
        """Give money of a paid order back."""
        amount = {"refund": wanted.amount_fen, "total": wanted.total_fen, "currency": "CNY"}
        body = {
            "transaction_id": wanted.transaction_id,
            "out_refund_no": wanted.number,
            "reason": wanted.reason[:80],
            "amount": amount,
        }
        return _refund_told(self._call("POST", _REFUNDS, body).body)

    def query_refund(self, wanted: RefundWanted) -> RefundTold:
        """Say how a refund stands."""
        try:
            return _refund_told(self._call("GET", f"{_REFUNDS}/{wanted.number}").body)
        except ChannelRefusedError as error:
            if error.code == "RESOURCE_NOT_EXISTS":
                return RefundTold(wanted.number, RefundStatus.UNKNOWN)
            raise

    def parse(self, headers: Mapping[str, str], body: bytes) -> Told | None:
        """Verify and decrypt a notification; None if it is of no payment; ForgedError."""
        self._check(headers, body)
        try:
            notice = msgspec.json.decode(body, type=_Notice)
        except msgspec.DecodeError as error:
            message = f"wechat: a signed notification is not understood: {error}"
            raise ForgedError(message) from error
        if not notice.event_type.startswith("TRANSACTION."):
            return None
        plain = self._decrypted(notice.resource)
        return _told(plain, Evidence(body, _signature(headers), plain.decode(errors="replace")))

    def reply(self, *, is_kept: bool) -> Reply:
        """Return what WeChat Pay wants to hear: 204, or a failure that makes it send again."""
        if is_kept:
            return Reply(204, b"", "application/json")
        failed = msgspec.json.encode({"code": "FAIL", "message": "not accepted"})
        return Reply(401, failed, "application/json")

    def _call(
        self, method: str, path: str, content: Mapping[str, object] | None = None
    ) -> Evidence:
        merchant = self._merchant
        body = b"" if content is None else msgspec.json.encode(content)
        at, nonce = str(int(self._now_s())), secrets.token_hex(16)
        signature = sign(merchant.key, f"{method}\n{path}\n{at}\n{nonce}\n".encode() + body + b"\n")
        headers = {
            "Authorization": (
                f'{SCHEME} mchid="{merchant.merchant_id}",nonce_str="{nonce}",'
                f'signature="{signature}",timestamp="{at}",serial_no="{merchant.serial}"'
            ),
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "hutong",
            "Wechatpay-Serial": merchant.platform_serial,
        }
        answer = send(method, merchant.url + path, headers=headers, body=body)
        is_refused = answer.status >= 400  # noqa: PLR2004  # HTTP's own number
        try:
            self._check(answer.headers, answer.body)
        except ForgedError as error:
            # it does not sign what it could not authenticate: nothing is concluded from that
            said = answer.body[:300].decode(errors="replace") if is_refused else ""
            message = f"wechat: {path}: {answer.status} {said}: {error}"
            raise ChannelUnreachableError(message) from error
        if answer.status == _TRY_LATER or answer.status >= _BROKEN:
            message = f"wechat: {path}: {answer.status}"
            raise ChannelUnreachableError(message)
        if is_refused:
            fault = _decoded(answer.body, _Fault)
            raise ChannelRefusedError(fault.code, fault.message)
        return Evidence(answer.body, _signature(answer.headers))

    def _check(self, headers: Mapping[str, str], body: bytes) -> None:
        serial = headers.get("wechatpay-serial", "")
        if serial != self._merchant.platform_serial:
            message = (
                f"wechatpay-serial: {serial!r}: allowed is {self._merchant.platform_serial!r},"
                " as HUTONG_WECHAT_PLATFORM_SERIAL says"
            )
            raise ForgedError(message)
        at, nonce = headers.get("wechatpay-timestamp", ""), headers.get("wechatpay-nonce", "")
        if not (at.isascii() and at.isdigit()) or abs(self._now_s() - int(at)) > SKEW_S:
            message = f"wechatpay-timestamp: {at!r}: allowed is {SKEW_S} s around our clock"
            raise ForgedError(message)
        message_signed = f"{at}\n{nonce}\n".encode() + body + b"\n"
        key = self._merchant.platform_key
        if not is_signed(key, message_signed, headers.get("wechatpay-signature", "")):
            message = "wechatpay-signature: does not fit"
            raise ForgedError(message)

    def _decrypted(self, resource: "_Resource") -> bytes:
        if resource.algorithm != "AEAD_AES_256_GCM":
            message = f"algorithm: {resource.algorithm!r}: allowed is 'AEAD_AES_256_GCM'"
            raise ForgedError(message)
        try:
            return AESGCM(self._merchant.api_key).decrypt(
                resource.nonce.encode(), resource.ciphertext, resource.associated_data.encode()
            )
        except (InvalidTag, ValueError):
            message = "ciphertext: cannot be decrypted by the key of HUTONG_WECHAT_API_KEY_FILE"
            raise ForgedError(message) from None


class _Native(msgspec.Struct):
    code_url: str


class _Fault(msgspec.Struct):
    code: str = "UNKNOWN"
    message: str = ""


class _Amount(msgspec.Struct):
    total: int = 0
    currency: str = "CNY"
    refund: int | None = None


class _Transaction(msgspec.Struct):
    out_trade_no: str
    trade_state: str
    appid: str | None = None
    mchid: str | None = None
    transaction_id: str = ""
    success_time: str = ""
    amount: _Amount | None = None


class _Resource(msgspec.Struct):
    algorithm: str
    ciphertext: bytes
    nonce: str
    associated_data: str = ""


class _Notice(msgspec.Struct):
    event_type: str
    resource: _Resource


class _Refund(msgspec.Struct):
    out_refund_no: str
    status: str
    refund_id: str = ""
    amount: _Amount | None = None


def _decoded(body: bytes, kind: type[_Struct]) -> _Struct:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        message = f"wechat: a signed answer is not understood: {error}"
        raise ChannelUnreachableError(message) from error


def _told(plain: bytes, evidence: Evidence) -> Told:
    found = _decoded(plain, _Transaction)
    return Told(
        found.out_trade_no,
        _STATES.get(found.trade_state, Status.OPEN),
        evidence,
        transaction_id=found.transaction_id,
        amount_fen=found.amount.total if found.amount else None,
        currency=found.amount.currency if found.amount else "CNY",
        app_id=found.appid,
        merchant_id=found.mchid,
        paid_us=_us(found.success_time),
    )


def _refund_told(body: bytes) -> RefundTold:
    found = _decoded(body, _Refund)
    status = _REFUND_STATES.get(found.status, RefundStatus.WAITING)
    amount_fen = found.amount.refund if found.amount else None
    return RefundTold(found.out_refund_no, status, found.refund_id, amount_fen, found.status)


def _us(rfc3339: str) -> int | None:
    try:
        at = datetime.fromisoformat(rfc3339)
    except ValueError:
        return None
    return microseconds(at.replace(tzinfo=at.tzinfo or _ZONE))


def _signature(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {headers[name]}\n" for name in sorted(headers) if "wechatpay" in name)
