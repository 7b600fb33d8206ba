"""Where the channels notify us: no login, a signature before anything else, bounded bodies."""

import time
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, HTTPException, Request, Response

from cloud.payments import service
from cloud.payments.channel import ChannelUnreachableError, ForgedError
from cloud.payments.endpoints import SetUp
from cloud.requests import Database

_MOST_BYTES: Final = 64 * 1024

router = APIRouter(include_in_schema=False)
log = structlog.get_logger("payments")


async def bounded_body(request: Request) -> bytes:
    """Return the body of a request; 413 for one that no channel sends."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise HTTPException(413)
    return body


@router.post("/payments/{name}/notify")
def notify(
    name: str,
    request: Request,
    body: Annotated[bytes, Depends(bounded_body)],
    engine: Database,
    channels: SetUp,
) -> Response:
    """Take a notification; what is signed is kept, and need not be sent again."""
    channel = channels.get(name)
    if channel is None:
        raise HTTPException(404)
    headers = {key.lower(): value for key, value in request.headers.items()}
    try:
        told = channel.parse(headers, body)
    except (ForgedError, ChannelUnreachableError) as error:
        log.warning("notification_refused", channel=name, reason=str(error))
        reply = channel.reply(is_kept=False)
        return Response(reply.body, reply.status, media_type=reply.media_type)
    if told is not None:
        with engine.begin() as connection:
            now_us = time.time_ns() // 1000
            service.take(connection, channel, told, source="notification", now_us=now_us)
    reply = channel.reply(is_kept=True)
    return Response(reply.body, reply.status, media_type=reply.media_type)
