"""Sends lines to a server with the API of InfluxDB 2, by influxdb-client."""

from typing import Final

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from pydantic import SecretStr
from urllib3.exceptions import HTTPError

from cloud.mirror.server import NotMirroredError

TIMEOUT_S: Final = 10
_TOLD: Final = 300


class InfluxServer:
    """One bucket of one server; every call is over in bounded time."""

    def __init__(self, url: str, *, token: SecretStr, org: str, bucket: str) -> None:
        self._org = org
        self._bucket = bucket
        self._client = InfluxDBClient(
            url, token.get_secret_value(), org=org, timeout=TIMEOUT_S * 1000, enable_gzip=True
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, body: bytes) -> None:
        """Post lines with nanoseconds to the bucket; NotMirroredError if they are not all taken."""
        try:
            # nanoseconds are what the client says where nothing else is said
            self._api.write(self._bucket, self._org, body)
        except ApiException as error:
            message = f"status {error.status}: {str(error.message or error.reason)[:_TOLD]}"
            raise NotMirroredError(message) from error
        except (HTTPError, OSError) as error:
            message = f"{type(error).__name__}: {str(error)[:_TOLD]}"
            raise NotMirroredError(message) from error
