"""Many rows at once, as quick as each database's driver takes them."""

from collections.abc import Sequence
from typing import Any, cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Date, Table, func, select


def insert_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows given as values of these columns, in order: by COPY or one prepared statement."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns, rows)
        return
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(map(quote, columns))
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks})"  # noqa: S608 - names of our own
    days = [place for place, name in enumerate(columns) if isinstance(table.c[name].type, Date)]
    connection.exec_driver_sql(statement, [_on_sqlite(row, days) for row in rows])


def take_ids(connection: Connection, table: Table, count: int) -> Sequence[int]:
    """Return the next `count` ids of a table that numbers its rows; they are nobody else's."""
    if connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.name, "id")
        drawn = select(func.nextval(sequence)).select_from(func.generate_series(1, count).alias())
        return sorted(int(each) for each in connection.scalars(drawn))
    # writers take turns
    first = 1 + (connection.scalar(select(func.max(table.c.id))) or 0)
    return range(first, first + count)


def _copy(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _on_sqlite(row: Sequence[Any], days: Sequence[int]) -> tuple[Any, ...]:
    # it keeps days as their ISO text
    values = list(row)
    for place in days:
        if values[place] is not None:
            values[place] = values[place].isoformat()
    return tuple(values)
