"""What became of things in quarantine."""

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text

from cloud.database import metadata

quarantine_decisions = Table(
    "quarantine_decisions",
    metadata,
    Column("quarantine_id", BigInteger, ForeignKey("quarantine.id"), primary_key=True),
    Column("decision", String(16), nullable=False),
    Column("decided_by", String(100), nullable=False),
    Column("decided_us", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
)
