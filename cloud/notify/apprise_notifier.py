"""Messages by apprise: mail, WeCom, DingTalk, Feishu and others, each by an URL."""

import logging
from collections.abc import Mapping, Sequence

import apprise
from pydantic import SecretStr

from cloud.errors import RefusedError
from cloud.notify.notifier import NotSentError, Outgoing


class AppriseNotifier:
    """Sends to the URLs of a project/role, else of its project; RefusedError for unknown URLs."""

    def __init__(self, urls: Mapping[str, Sequence[SecretStr]]) -> None:
        # its own log has addresses with passwords
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._ways: dict[str, apprise.Apprise] = {}
        for key, some in urls.items():
            way = apprise.Apprise()
            for place, url in enumerate(some, start=1):
                if not way.add(url.get_secret_value()):
                    msg = f"HUTONG_NOTIFY_URLS: {key}: URL {place}: allowed are those of apprise"
                    raise RefusedError(msg)
            self._ways[key] = way

    def send(self, message: Outgoing) -> None:
        """Hand a message over to every URL; NotSentError where one did not take it."""
        project, _, _ = message.recipient.partition("/")
        way = self._ways.get(message.recipient) or self._ways.get(project)
        if way is None:
            text = f"apprise: no URL of {message.recipient} in HUTONG_NOTIFY_URLS"
            raise NotSentError(text)
        try:
            taken = way.notify(body=message.text, body_format=apprise.NotifyFormat.TEXT)
        except Exception as error:  # noqa: BLE001 - plugins of many hands raise what they like
            text = f"apprise: {message.recipient}: {type(error).__name__}"
            raise NotSentError(text) from None
        if not taken:
            text = f"apprise: a receiver of {message.recipient} did not take it"
            raise NotSentError(text)
