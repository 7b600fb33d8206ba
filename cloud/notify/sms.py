"""Short messages by the HTTP interface of whichever supplier: an address, headers, a JSON body."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage
from typing import IO, Final

from pydantic import SecretStr

from cloud.notify.notifier import NotSentError, Outgoing

_FACT: Final = re.compile(r"\{(phone|text|id)\}")
_TIMEOUT_S: Final = 10
_LONGEST_ANSWER: Final = 65_536


class HttpSms:
    """Posts messages: {phone}, {text} and {id} in the body's texts are filled in.

    A message is taken where the answer is 2xx and has the text `accepted`, if one is given:
    many suppliers refuse with 200. Certificates are verified, redirects are not followed.
    """

    def __init__(
        self, url: str, *, headers: Mapping[str, SecretStr], body: str, accepted: str
    ) -> None:
        self._url = url
        self._headers = headers
        self._body = json.loads(body)
        self._accepted = accepted
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, message: Outgoing) -> None:
        """Hand a message over; NotSentError."""
        facts = {"phone": message.recipient, "text": message.text, "id": str(message.id)}
        raw = json.dumps(_filled(self._body, facts), ensure_ascii=False).encode()
        headers = {name: value.get_secret_value() for name, value in self._headers.items()}
        request = urllib.request.Request(  # noqa: S310 - the settings allow https, http on loopback
            self._url, raw, headers | {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                told = answer.read(_LONGEST_ANSWER).decode(errors="replace")
        except urllib.error.HTTPError as error:
            error.close()
            why = f"sms: answer {error.code}"
            raise NotSentError(why) from None
        except (OSError, HTTPException, ValueError) as error:
            # only what kind: the text of an error may have the address or a header
            reason = getattr(error, "reason", error)
            why = f"sms: no answer: {type(reason).__name__}"
            raise NotSentError(why) from None
        if self._accepted not in told:
            why = "sms: the answer lacks HUTONG_SMS_ACCEPTED: it was not taken"
            raise NotSentError(why)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key in a header is for the address that was configured, and for no other."""

    def redirect_request(
        self,
        req: urllib.request.Request,  # noqa: ARG002 - its signature
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        """Follow nowhere."""
        return


def _filled(value: object, facts: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {key: _filled(item, facts) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, facts) for item in value]
    if isinstance(value, str):
        # in one pass: what is filled in comes from people, and is not searched again
        return _FACT.sub(lambda found: facts[found[1]], value)
    return value
