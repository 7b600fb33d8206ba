"""hutong-cloud: the service and its tools."""

import asyncio
import json
import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from cloud import auth
from cloud.app import create_app
from cloud.billing import bundle_commands, runs
from cloud.billing.commands import allocate
from cloud.billing.run_repository import Run
from cloud.config import Settings
from cloud.database import migrated
from cloud.documents import DocumentError, parse_json, read_text
from cloud.errors import CloudError
from cloud.ingest.worker import ingest_worker, rest_of_garbage, run_until_terminated
from cloud.ledger.arrears import charge_all
from cloud.ledger.cutover import take_over
from cloud.ledger.openings import parse_openings, parse_totals
from cloud.ledger.service import Teller
from cloud.metering.commands import reads_app
from cloud.mirror.commands import mirror_app
from cloud.mirror.service import Mirror, server_of
from cloud.money import fen_to_yuan
from cloud.notify.sender import Sender, notifiers_of
from cloud.operations.commands import backup, doctor, migrate, restore
from cloud.payments.commands import payments_app
from cloud.payments.merchants import channels_of
from cloud.printing.commands import (
    print_bill,
    print_dunning_letter,
    print_receipt,
    print_sheet,
)
from cloud.proofs.commands import prove, verify
from cloud.quarantine_command import quarantine_app
from cloud.sites.gateway_commands import gateway_app
from cloud.sites.importer import add_users, import_project, load_project_file
from cloud.sites.tables import projects, users
from cloud.tariffs.commands import tariff_app
from cloud.work import Worker
from cloud.workbooks.commands import report
from protocols.delivery.signature import key_text, public_bytes
from protocols.errors import HutongError
from protocols.io import logs
from protocols.io.key_file import open_key

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
bill_app = typer.Typer(no_args_is_help=True, help="Bill runs and what stands behind a bill.")
user_app = typer.Typer(no_args_is_help=True, help="Who may log in.")
app.add_typer(tariff_app, name="tariff")
app.add_typer(bill_app, name="bill")
app.add_typer(user_app, name="user")
app.add_typer(gateway_app, name="gateway")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(reads_app, name="reads")
app.add_typer(payments_app, name="payments")
app.add_typer(mirror_app, name="mirror")
bill_app.command("print")(print_bill)
bill_app.command("receipt")(print_receipt)
bill_app.command("dun")(print_dunning_letter)
bill_app.command("sheet")(print_sheet)
bill_app.command("evidence")(bundle_commands.evidence)
bill_app.command("verify")(bundle_commands.verify)
bill_app.command("verifier")(bundle_commands.verifier)
app.command("allocate")(allocate)
app.command("report")(report)
app.command("prove")(prove)
app.command("verify")(verify)
app.command("backup")(backup)
app.command("restore")(restore)
app.command("migrate")(migrate)
app.command("doctor")(doctor)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the program."""
    logs.configure("text")
    try:
        app()
    except ValidationError as error:
        for fault in error.errors():
            key = "HUTONG_" + ".".join(map(str, fault["loc"])).upper()
            sys.stderr.write(f"environment: {key}: {fault['msg']}\n")
        sys.exit(2)
    except (CloudError, DocumentError, HutongError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except OperationalError as error:
        sys.stderr.write(f"database: cannot be reached: {error.orig}\n")
        sys.exit(1)


@app.command()
def serve() -> None:
    """Serve pages and API; ingest and background work run in the same process."""
    settings = Settings()
    logs.configure(settings.log_format)
    open_key(settings.command_key_file)
    with migrated(settings.database) as engine:
        config = uvicorn.Config(
            create_app(settings, engine),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        rest_of_garbage()
        uvicorn.Server(config).run()


@app.command()
def ingest() -> None:
    """Run one ingest worker of many beside a broker of your own."""
    settings = Settings()
    logs.configure(settings.log_format)
    with migrated(settings.database) as engine:
        rest_of_garbage()
        asyncio.run(run_until_terminated(ingest_worker(engine, settings, lambda: None)))


@app.command()
def work() -> None:
    """Run the background work: alerts, bills, asking after payments, messages, the mirror."""
    settings = Settings()
    logs.configure(settings.log_format)
    channels = channels_of(settings)
    server = server_of(settings)

    async def every() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Worker(engine, settings, channels).run(), name="work")
            tasks.create_task(sender.run(), name="notify")
            tasks.create_task(Mirror(engine, server).run(), name="mirror")

    with migrated(settings.database) as engine:
        sender = Sender(engine, notifiers_of(settings), per_day=settings.notify_per_day)
        asyncio.run(every())


@app.command("command-key")
def command_key() -> None:
    """Print the public key of commands, for `command_key:` of gateway files; made if none is."""
    typer.echo(key_text(public_bytes(open_key(Settings().command_key_file))))


@app.command("import")
def import_site(
    file: Path,
    cutover: Annotated[str, typer.Option(help="first billed month, YYYY-MM")],
    *,
    renew_passwords: Annotated[
        bool, typer.Option("--renew-passwords", help="also of users who are there already")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import a project file: premises, meters, opening registers, annual use so far, users."""
    document = load_project_file(file)
    begins_on = _first_day(cutover, "--cutover")
    with migrated(Settings().database) as engine, engine.begin() as connection:
        rows = import_project(connection, document, cutover_on=begins_on)
        made = add_users(connection, document, renew=renew_passwords)
    if as_json:
        logins = [{"role": role, "username": name, "password": word} for role, name, word in made]
        typer.echo(json.dumps({"rows": rows, "users": logins}))
        return
    typer.echo(f"{rows} new rows; cutover {begins_on}")
    for role, name, word in made:
        typer.echo(f"{role:12} {name:16} {word}")


@bill_app.command("import")
def bill_import(
    file: Path,
    project: Annotated[str, typer.Option()],
    totals: Annotated[Path, typer.Option(help="JSON: what the old system says is owed, by item")],
    as_of: Annotated[str, typer.Option(help="first month billed by us, YYYY-MM")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run")] = False,
    as_json: AsJson = False,
) -> None:
    """Take over charges, balances and use so far from an old system, if its totals are met."""
    begins_on = _first_day(as_of, "--as-of")
    openings = parse_openings(read_text(file), name=str(file))
    said = parse_totals(parse_json(read_text(totals), name=str(totals)), name=str(totals))
    openings.check(said, name=str(totals))
    entered = 0
    if not dry_run:
        with migrated(Settings().database) as engine, engine.begin() as connection:
            teller = Teller.now(project, "command line")
            entered = take_over(connection, teller, openings, as_of=begins_on)
    result: dict[str, object] = {
        "entered": entered,
        **{key: fen_to_yuan(fen) for key, fen in sorted(openings.totals().items())},
    }
    _print(result, as_json=as_json)


@bill_app.command("run")
def bill_run(
    project: Annotated[str, typer.Option()],
    period: Annotated[str, typer.Option(help="YYYY-MM")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run")] = False,
    as_json: AsJson = False,
) -> None:
    """Post last month's bills, once; --dry-run only says what they would be."""
    settings = Settings()
    allow = settings.allow_unverified_tariffs
    _first_day(period, "--period")
    if dry_run:
        with migrated(settings.database) as engine, engine.begin() as connection:
            drawn = runs.draft(
                connection,
                project,
                period,
                allow_unverified=allow,
                own_tariffs=settings.tariffs,
            )
        result: dict[str, object] = {
            "period": period,
            "posted": False,
            "bills": drawn.bills,
            "held": len(drawn.held),
            "total": fen_to_yuan(drawn.total_fen),
        }
        _print(result, as_json=as_json)
        return
    with migrated(settings.database) as engine:
        done = runs.run(
            engine, project, period, allow_unverified=allow, own_tariffs=settings.tariffs
        )
    _print(_told(done), as_json=as_json)


@bill_app.command("late")
def bill_late(project: Annotated[str, typer.Option()], *, as_json: AsJson = False) -> None:
    """Enter late charges of who was reminded, where a contract has terms for them."""
    with migrated(Settings().database) as engine, engine.begin() as connection:
        result = charge_all(connection, Teller.now(project, "command line"))
    _print({"accounts": result.accounts, "entered": fen_to_yuan(result.fen)}, as_json=as_json)


@bill_app.command("revise")
def bill_revise(
    project: Annotated[str, typer.Option()],
    first: Annotated[str, typer.Option(help="first month to be billed again, YYYY-MM")],
    reason: Annotated[str, typer.Option(help="why; it stands on each credit note")],
    *,
    as_json: AsJson = False,
) -> None:
    """Bill a month and all after it again: what comes out otherwise is credited, posted anew."""
    settings = Settings()
    _first_day(first, "--first")
    with migrated(settings.database) as engine:
        done = runs.revise(
            engine,
            project,
            first,
            reason=reason,
            by="command line",
            allow_unverified=settings.allow_unverified_tariffs,
            own_tariffs=settings.tariffs,
        )
    _print(_told(done), as_json=as_json)


@user_app.command("add")
def user_add(
    username: str,
    role: Annotated[str, typer.Option(help=", ".join(sorted(auth.ROLES)))],
    project: Annotated[str, typer.Option()],
    name: Annotated[str, typer.Option()] = "",
    premise: Annotated[str | None, typer.Option(help="a resident's home")] = None,
) -> None:
    """Add somebody who may log in; prints the password once."""
    if role not in auth.ROLES:
        message = f"role {role!r}: allowed: {', '.join(sorted(auth.ROLES))}"
        raise CloudError(message)
    password = auth.generate_password()
    with migrated(Settings().database) as engine, engine.begin() as connection:
        if connection.scalar(select(projects.c.id).where(projects.c.id == project)) is None:
            message = f"project {project!r} is unknown"
            raise CloudError(message)
        if connection.scalar(select(users.c.id).where(users.c.username == username)) is not None:
            message = f"user {username!r} exists already"
            raise CloudError(message)
        row = {"project_id": project, "username": username, "name": name or username}
        row |= {"role": role, "password_hash": auth.hash_password(password)}
        connection.execute(users.insert().values(**row, premise_id=premise))
    typer.echo(password)


def _first_day(period: str, key: str) -> date:
    try:
        return date.fromisoformat(f"{period}-01")
    except ValueError as error:
        message = f"{key}: {period!r}: allowed is a month, YYYY-MM"
        raise CloudError(message) from error


def _told(done: Run) -> dict[str, object]:
    return {
        "period": done.period,
        "posted": True,
        "bills": done.bills,
        "credits": done.credits,
        "held": done.held,
        "total": fen_to_yuan(done.total_fen),
    }


def _print(result: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
        return
    for key, value in result.items():
        typer.echo(f"{key}: {value}")
