"""Settings of the service, from HUTONG_* environment variables."""

import json
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from protocols.io.mqtt import Broker

DATABASES = ("sqlite:///", "postgresql://", "postgres://")


class Settings(BaseSettings):
    """How the service runs; every setting is HUTONG_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="HUTONG_")

    data_dir: Path = Path("hutong-data")
    database_url: str = Field(default="", description="default: SQLite in data_dir")
    mqtt_url: str = Field(default="", description="default: an embedded broker on mqtt_port")
    mqtt_ca_file: Path | None = Field(
        default=None,
        description="certificates to check the broker's against; default: the system's",
    )
    mqtt_port: int = Field(default=1883, ge=1, le=65_535)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    log_format: Literal["text", "json"] = "text"
    auto_bill: bool = True
    allow_unverified_tariffs: bool = False
    tariffs: Path | None = Field(
        default=None, description="a folder of your own tariffs, beside those that come with it"
    )
    secure_cookies: bool = False
    trust_first_key: bool = Field(
        default=False, description="pin the first key that a gateway without any tells of"
    )

    fonts: Path | None = Field(
        default=None, description="fonts of printed documents; default: a package's Noto SC"
    )
    templates: Path | None = Field(
        default=None, description="your own templates of printed documents, by the same names"
    )
    public_url: str = Field(
        default="", description="where readers reach the pages; default: host and port"
    )
    bill_due_days: int = Field(default=15, ge=0, le=365)
    dunning_days: int = Field(default=7, ge=0, le=365)
    payment_means: str = Field(default="", max_length=500, description="printed on bills")
    contact: str = Field(default="", max_length=200, description="printed at the foot of pages")

    # online payment: off without a merchant's keys, see docs/payments.md
    wechat_app_id: str = ""
    wechat_merchant_id: str = ""
    wechat_merchant_serial: str = Field(default="", description="of apiclient_cert.pem")
    wechat_merchant_key_file: Path | None = Field(default=None, description="apiclient_key.pem")
    wechat_api_key_file: Path | None = Field(default=None, description="the APIv3 key, 32 bytes")
    wechat_platform_serial: str = Field(
        default="", description="PUB_KEY_ID_... or the serial of the platform's certificate"
    )
    wechat_platform_key_file: Path | None = Field(
        default=None, description="the platform's public key or certificate"
    )
    wechat_url: str = "https://api.mch.weixin.qq.com"
    alipay_app_id: str = ""
    alipay_seller_id: str = Field(default="", description="the merchant's PID, 2088...")
    alipay_private_key_file: Path | None = Field(default=None, description="the app's key")
    alipay_public_key_file: Path | None = Field(
        default=None, description="Alipay's public key, not the app's"
    )
    alipay_url: str = "https://openapi.alipay.com/gateway.do"

    notify_urls: dict[str, list[SecretStr]] = Field(
        default={}, description="JSON: project or project/role -> URLs of apprise"
    )
    notify_per_day: int = Field(default=1, ge=1, le=20, description="messages to one account")
    notify_text: str = Field(
        default="【{project}】{holder}：截至 {day}，{premise} 尚有 {amount} 元未缴，请及时缴纳。",
        max_length=500,
    )
    sms_url: str = Field(default="", description="the supplier's address of short messages")
    sms_headers: dict[str, SecretStr] = Field(default={}, description="JSON: such as keys")
    sms_body: str = Field(
        default='{"phone": "{phone}", "text": "{text}", "id": "{id}"}',
        description="JSON: {phone}, {text} and {id} are filled in",
    )
    sms_accepted: str = Field(default="", description="what an answer has that took the message")

    # a copy of the readings for dashboards, see docs/mirror.md
    influx_url: str = Field(default="", description="a server with the API of InfluxDB 2")
    influx_token: SecretStr = SecretStr("")
    influx_org: str = "hutong"
    influx_bucket: str = "hutong"

    @field_validator("notify_text")
    @classmethod
    def _is_text(cls, text: str) -> str:
        facts = dict.fromkeys(("project", "holder", "premise", "amount", "day"), "x")
        try:
            text.format(**facts)
        except (LookupError, ValueError, AttributeError) as error:
            message = f"{text}: allowed are {{{'}, {'.join(facts)}}}"
            raise ValueError(message) from error
        return text

    @field_validator("sms_url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        parts = urlsplit(url)
        here = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
        if url and not (parts.scheme == "https" and parts.hostname) and not here:
            message = "allowed begins with https://, or http:// on this machine"
            raise ValueError(message)
        return url

    @field_validator("sms_body")
    @classmethod
    def _is_json(cls, body: str) -> str:
        try:
            json.loads(body)
        except ValueError as error:
            message = f"{body}: allowed is JSON: {error}"
            raise ValueError(message) from error
        return body

    @field_validator("public_url", "wechat_url", "alipay_url", "influx_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        if url and not url.startswith(("https://", "http://")):
            message = f"{url}: allowed begins with https:// or http://"
            raise ValueError(message)
        return url.rstrip("/")

    @field_validator("mqtt_url")
    @classmethod
    def _is_broker(cls, url: str) -> str:
        if url:
            Broker.parse(url)
        return url

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, url: str) -> str:
        if url and not url.startswith(DATABASES):
            scheme, _, _ = url.partition("//")
            message = f"{scheme}//...: allowed begin with {', '.join(DATABASES)}"
            raise ValueError(message)
        return url

    @property
    def database(self) -> str:
        """Return the database URL in SQLAlchemy's form, psycopg 3 for PostgreSQL."""
        url = self.database_url or f"sqlite:///{self.data_dir / 'hutong.db'}"
        for prefix in ("postgresql://", "postgres://"):
            if url.startswith(prefix):
                return "postgresql+psycopg://" + url.removeprefix(prefix)
        return url

    @property
    def command_key_file(self) -> Path:
        """Return where the key is that signs commands to gateways."""
        return self.data_dir / "command.key"

    @property
    def address(self) -> str:
        """Return where readers of printed documents reach the pages."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def embedded_broker(self) -> bool:
        """Say whether the service brings its own broker."""
        return not self.mqtt_url

    @property
    def broker_url(self) -> str:
        """Return the broker to connect to."""
        return self.mqtt_url or f"mqtt://127.0.0.1:{self.mqtt_port}"
