"""Tables of discounts: plans, who has them, and when one ended; each row was approved."""

from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    String,
    Table,
    Text,
)

from cloud.database import Identity, metadata

# what the plan says is `subject`, as it was asked for and approved
plans = Table(
    "discount_plans",
    metadata,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("code", String(32), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("request_id", ForeignKey("approval_requests.id"), nullable=False, unique=True),
)

assignments = Table(
    "discounts",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("code", String(32), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date),
    Column("request_id", ForeignKey("approval_requests.id"), nullable=False, unique=True),
)

# of a whole plan where no assignment is named
ends = Table(
    "discount_ends",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("code", String(32), nullable=False),
    Column("discount_id", ForeignKey("discounts.id")),
    Column("ends_on", Date, nullable=False),
    Column("request_id", ForeignKey("approval_requests.id"), nullable=False, unique=True),
)

FROZEN = ("discount_plans", "discounts", "discount_ends")
