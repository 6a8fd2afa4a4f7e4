"""The tables of the database; migrations bring any older database to this form."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up by itself only in a column that it calls INTEGER."""

EVENTS = Table(
    "events",
    METADATA,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("event_id", String(128), nullable=True),
    Column("user_id", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("event", String(64), nullable=False),
    Column("recommendation_id", String(64), nullable=True),
    UniqueConstraint("event_id", name="uq_events_event_id"),
    Index("ix_events_user", "user_id", "timestamp", "id"),
)
"""What people did. `event_id` is the client's own: an event sent twice is stored once."""

ITEMS = Table(
    "items",
    METADATA,
    Column("item_id", Text, primary_key=True),
    Column("fields", Text, nullable=False),
    Column("picture", LargeBinary, nullable=True),
    Column("removed", Boolean, nullable=False),
    Column("change", BigInteger, nullable=False),
    Index("ix_items_change", "change"),
)
"""Items that were added, changed or removed since the run was trained; `fields` is JSON."""

RECOMMENDATIONS = Table(
    "recommendations",
    METADATA,
    Column("recommendation_id", String(64), primary_key=True),
    Column("user_id", Text, nullable=True),
    Column("items", Text, nullable=False),
    Column("run", String(64), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
)
"""What was shown, so that events can be traced to it; `items` is a JSON list."""

COUNTER = Table(
    "counter",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""The number of the latest change. Whoever changes items counts it up first and so waits for
others: changes become visible in the order of their numbers."""

SETTINGS = Table(
    "settings",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
    Column("change", BigInteger, nullable=False),
)
"""What all servers on the database agree on: which run is served."""
