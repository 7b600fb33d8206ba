"""Alembic's entry: runs the migrations on the connection it is given."""

from alembic import context

from cloud.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_object=context.config.attributes.get("include_object"),
)
with context.begin_transaction():
    context.run_migrations()
