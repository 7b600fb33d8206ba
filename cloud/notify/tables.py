"""The table of messages that wait to be sent, and what came of them."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from cloud.database import Identity, metadata

# `attempted_us` is the last attempt, `next_us` the earliest next one
messages = Table(
    "messages",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("reminder_id", ForeignKey("reminders.id"), unique=True),
    Column("via", String(20), nullable=False),
    # a phone number for sms, a project or project/role for apprise
    Column("recipient", String(100), nullable=False),
    Column("text", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("next_us", BigInteger, nullable=False),
    Column("attempted_us", BigInteger),
    Column("sent_us", BigInteger),
    Index("ix_messages_state_next_us", "state", "next_us"),
)
