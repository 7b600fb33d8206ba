"""The application: pages, API, health; ingest and background work beside it in one process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from cloud import problems
from cloud.api import router as api
from cloud.billing.tariff_book import tariffs_of
from cloud.commands.sending import MqttPublisher
from cloud.commands.service import Commands
from cloud.config import Settings
from cloud.ingest.broker import embedded_broker
from cloud.ingest.worker import ingest_worker
from cloud.mirror.service import Mirror, server_of
from cloud.notify.sender import Sender, notifiers_of
from cloud.payments.merchants import channels_of
from cloud.payments.notifications import router as notifications
from cloud.web import pages
from cloud.work import Worker
from protocols.io.mqtt import Broker

log = structlog.get_logger("cloud")


def create_app(settings: Settings, engine: Engine) -> FastAPI:
    """Return the application over a migrated database."""
    app = FastAPI(
        title="Hutong",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.engine = engine
    app.state.settings = settings
    app.state.channels = channels_of(settings)
    app.state.worker = Worker(engine, settings, app.state.channels)
    # what cannot be read or sent by is told when the service starts
    tariffs_of(settings.tariffs)
    ways = notifiers_of(settings)
    app.state.sender = Sender(engine, ways, per_day=settings.notify_per_day)
    app.state.mirror = Mirror(engine, server_of(settings))
    app.state.ingest = ingest_worker(engine, settings, app.state.worker.wake)
    broker = Broker.parse(settings.broker_url, settings.mqtt_ca_file)
    publisher = MqttPublisher(broker, expires=not settings.embedded_broker)
    app.state.commands = Commands(engine, settings.command_key_file, publisher)
    app.include_router(api, prefix="/api/v1")
    app.include_router(notifications)
    _add_health(app)
    problems.install(app)
    pages.install(app)
    return app


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz", include_in_schema=False)
    def healthz() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> JSONResponse:
        """Say whether the database and the broker can be reached."""
        try:
            with app.state.engine.connect() as connection:
                connection.execution_options(readonly=True).execute(text("SELECT 1"))
            database = True
        except DBAPIError:
            database = False
        parts = {"database": database, "broker": app.state.ingest.ready.is_set()}
        return JSONResponse(parts, 200 if all(parts.values()) else 503)

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        """Give the metrics in Prometheus' text format."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with AsyncExitStack() as stack:
        if settings.embedded_broker:
            await stack.enter_async_context(embedded_broker(settings.mqtt_port))
        tasks = [
            asyncio.create_task(app.state.ingest.run(), name="ingest"),
            asyncio.create_task(app.state.worker.run(), name="work"),
            asyncio.create_task(app.state.sender.run(), name="notify"),
            asyncio.create_task(app.state.mirror.run(), name="mirror"),
        ]
        for task in tasks:
            task.add_done_callback(_tell_failure)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("task_died", task=task.get_name(), exc_info=error)
