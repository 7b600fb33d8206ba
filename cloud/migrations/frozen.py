"""Triggers by which the database itself refuses to change what is posted."""

from alembic import op


def freeze(table: str) -> None:
    """Refuse to update or delete rows of a table from now on."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            """CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger AS $$
            BEGIN RAISE EXCEPTION 'posted is posted: % never changes', TG_TABLE_NAME; END
            $$ LANGUAGE plpgsql"""
        )
        op.execute(
            f"CREATE TRIGGER {table}_posted BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        return
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_posted_{action.lower()} BEFORE {action} ON {table} BEGIN"
            f" SELECT RAISE(ABORT, 'posted is posted: {table} never changes'); END"
        )


def unfreeze(table: str) -> None:
    """Let rows of a table be changed again."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP TRIGGER {table}_posted ON {table}")
        return
    for action in ("update", "delete"):
        op.execute(f"DROP TRIGGER {table}_posted_{action}")
