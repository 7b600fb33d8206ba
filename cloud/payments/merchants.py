"""The channels that the settings name: none without a merchant's keys."""

from collections.abc import Mapping
from pathlib import Path

from cloud.config import Settings
from cloud.errors import CloudError
from cloud.payments.alipay import AlipayChannel, AlipayMerchant
from cloud.payments.channel import Channel
from cloud.payments.signing import file_of, private_key_of, public_key_of
from cloud.payments.wechat import WechatChannel, WechatMerchant

_API_KEY_BYTES = 32
_WECHAT = (
    "wechat_app_id",
    "wechat_merchant_id",
    "wechat_merchant_serial",
    "wechat_merchant_key_file",
    "wechat_api_key_file",
    "wechat_platform_serial",
    "wechat_platform_key_file",
)
_ALIPAY = (
    "alipay_app_id",
    "alipay_seller_id",
    "alipay_private_key_file",
    "alipay_public_key_file",
)

Channels = Mapping[str, Channel]


def channels_of(settings: Settings) -> Channels:
    """Return the channels by name; CloudError naming the setting that is missing or wrong."""
    found: dict[str, Channel] = {}
    if _is_on(settings, _WECHAT):
        found["wechat"] = WechatChannel(_wechat(settings))
    if _is_on(settings, _ALIPAY):
        found["alipay"] = AlipayChannel(_alipay(settings))
    return found


def _wechat(settings: Settings) -> WechatMerchant:
    setting = _name("wechat_api_key_file")
    file = _file(settings, "wechat_api_key_file")
    api_key = file_of(file, setting=setting)
    if len(api_key) != _API_KEY_BYTES:
        message = (
            f"environment: {setting}: {file}: {len(api_key)} bytes:"
            f" allowed is an APIv3 key of {_API_KEY_BYTES}"
        )
        raise CloudError(message)
    return WechatMerchant(
        app_id=settings.wechat_app_id,
        merchant_id=settings.wechat_merchant_id,
        serial=settings.wechat_merchant_serial,
        key=private_key_of(
            _file(settings, "wechat_merchant_key_file"),
            setting=_name("wechat_merchant_key_file"),
        ),
        api_key=api_key,
        platform_serial=settings.wechat_platform_serial,
        platform_key=public_key_of(
            _file(settings, "wechat_platform_key_file"),
            setting=_name("wechat_platform_key_file"),
        ),
        url=settings.wechat_url,
        notify_url=f"{settings.public_url}/payments/wechat/notify",
    )


def _alipay(settings: Settings) -> AlipayMerchant:
    return AlipayMerchant(
        app_id=settings.alipay_app_id,
        seller_id=settings.alipay_seller_id,
        key=private_key_of(
            _file(settings, "alipay_private_key_file"), setting=_name("alipay_private_key_file")
        ),
        alipay_key=public_key_of(
            _file(settings, "alipay_public_key_file"), setting=_name("alipay_public_key_file")
        ),
        url=settings.alipay_url,
        notify_url=f"{settings.public_url}/payments/alipay/notify",
    )


def _is_on(settings: Settings, names: tuple[str, ...]) -> bool:
    missing = [name for name in names if not getattr(settings, name)]
    if len(missing) == len(names):
        return False
    if missing:
        given = [name for name in names if name not in missing]
        message = "\n".join(
            f"environment: {_name(name)}: missing: it goes with {_name(given[0])}"
            for name in missing
        )
        raise CloudError(message)
    if not settings.public_url:
        message = (
            "environment: HUTONG_PUBLIC_URL: missing: allowed is the https:// address under which"
            f" the channel of {_name(names[0])} reaches this service"
        )
        raise CloudError(message)
    return True


def _file(settings: Settings, name: str) -> Path:
    return Path(getattr(settings, name))


def _name(name: str) -> str:
    return f"HUTONG_{name.upper()}"
