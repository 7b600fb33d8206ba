"""Settings of the service, from HUTONG_* environment variables."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
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

    @field_validator("public_url")
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
