"""Databases as older versions of filterd left them: their schemas as released, with odd rows.

`tests/data/schemas` keeps the SQL that made each of them. A migration that was released is never
changed, since databases out there have run it.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from alembic import command
from sqlalchemy import MetaData, event, inspect

from filterd.store.database import revision
from filterd.store.schema import alembic_config

KEPT = Path(__file__).parent / "data" / "schemas"
CHANGES = ("CREATE ", "ALTER ", "DROP ", "INSERT ", "UPDATE ", "COMMENT ")
NOON = datetime(2026, 3, 29, 12, 0, 0, 123456, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
ODD = "Grüße 你好 \U0001f600 \u202eabc\u202c שלום e\u0301 'q\" \\ %s %(x)s :x ; -- \x01\t\n"
FULL, BARE, LABELLED = (f"01JD000000000000000000000{number}" for number in range(3))


def kept_schema(number, dialect):
    """Where the SQL of a revision is kept."""
    return KEPT / f"{number}.{dialect}.sql"


def statements_of(database, number):
    """Bring an empty database to a revision by the migrations; the SQL that did it."""
    said = []

    def listen(_connection, _cursor, statement, *_rest):
        if statement.lstrip().startswith(CHANGES):
            said.append(statement.strip() + ";\n")

    event.listen(database.engine, "before_cursor_execute", listen)
    with database.write() as connection:
        command.upgrade(alembic_config(connection), number)
    event.remove(database.engine, "before_cursor_execute", listen)
    return "\n".join(said)


def make_released(database, number):
    """Make an empty database what it was at a revision, as that was released, and fill it."""
    sql = kept_schema(number, database.engine.name).read_text()
    with database.write() as connection:
        for statement in sql.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        tables = reflected(connection)
        for name, rows in ROWS.items():
            if name in tables:
                for row in rows:
                    known = {key: row[key] for key in row if key in tables[name].c}
                    connection.execute(tables[name].insert(), known)
    assert revision(database) == number


def reflected(connection):
    """The tables as they are in the database, whatever the code says."""
    metadata = MetaData()
    metadata.reflect(connection)
    return metadata.tables


def everything(database):
    """All rows of all tables: table -> column -> its values, in the order of the primary key."""
    with database.read() as connection:
        found = {}
        for name, table in reflected(connection).items():
            rows = connection.execute(table.select().order_by(*table.primary_key)).mappings().all()
            found[name] = {column.name: [row[column.name] for row in rows] for column in table.c}
        return found


def description(connection):
    """What a database says of its tables, in an order that does not depend on their history."""
    look = inspect(connection)
    return {name: describe_table(look, connection, name) for name in look.get_table_names()}


def describe_table(look, connection, name):
    columns = {
        column["name"]: (
            str(column["type"]),
            column["nullable"],
            column["default"],
            column.get("comment"),
        )
        for column in look.get_columns(name)
    }
    indexes = {
        index["name"]: (
            index["column_names"],
            bool(index["unique"]),
            str(index.get("dialect_options", {}).get(f"{connection.dialect.name}_where")),
        )
        for index in look.get_indexes(name)
    }
    keys = {
        key["name"]: (key["constrained_columns"], key["referred_table"], key["referred_columns"])
        for key in look.get_foreign_keys(name)
    }
    uniques = {rule["name"]: rule["column_names"] for rule in look.get_unique_constraints(name)}
    checks = sorted(rule["sqltext"] for rule in look.get_check_constraints(name))
    primary = look.get_pk_constraint(name)
    ids = "AUTOINCREMENT" in made_by(connection, name)
    return columns, indexes, keys, uniques, checks, primary["constrained_columns"], ids


def made_by(connection, name):
    if connection.dialect.name != "sqlite":
        return ""
    return connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)
    ).scalar()


MESSAGE = {
    "received_at": NOON,
    "client_address": "",
    "helo": "",
    "sender": "",
    "recipients": [],
    "size": 0,
    "digest": "",
    "subject": "",
    "from_address": "",
    "from_domain": "",
    "message_id": "",
    "outcome": "",
    "ms": 0.0,
}
RUN = {"trigger": "schedule", "state": "waiting", "created_at": NOON, "attempts": 0}
POST = {"kind": "card", "channel": "C1", "content": {}, "wanted": 1, "shown": 0, "attempts": 0}
# Columns that a revision does not have are left out. Labels, champions and posts refer to others.
ROWS = {
    "bundles": [
        {
            "version": "2026-01-01.1",
            "path": f"/var/{ODD}",
            "created_at": LONG_AGO,
            "published_at": NOON,
            "data_digest": "ab" * 32,
            "metrics": {"spam": {"auc": 0.999, "odd": ODD, "none": None}},
        },
        {
            "version": "2026-01-02.1",
            "path": "",
            "created_at": NOON,
            "published_at": NOON,
            "data_digest": "",
            "metrics": {},
        },
    ],
    "leases": [
        {"name": "trainer", "token": 2**40},
        {
            "name": ODD,
            "holder": ODD,
            "token": 1,
            "taken_at": NOON,
            "renewed_at": NOON,
            "expires_at": NOON + timedelta(hours=1),
        },
    ],
    "messages": [
        {
            "id": FULL,
            "received_at": NOON,
            "client_address": "2001:db8::1",
            "helo": ODD,
            "sender": ODD,
            "recipients": [ODD, "b@example.com"],
            "size": 2**40,
            "digest": "cd" * 32,
            "subject": ODD * 5,
            "from_address": ODD,
            "from_domain": "exämple.org",
            "message_id": f"<{ODD}>",
            "verdict": "spam",
            "spam": 0.1 + 0.2,
            "threshold": 1e-300,
            "sentiment": "negative",
            "scores": {"spam": {"ham": 5e-324, "spam": 1.0}, ODD: {ODD: 0.5}},
            "model": "2026-01-01.1",
            "failure": ODD,
            "outcome": f"250 {ODD}",
            "ms": 1e9,
            "text": ODD * 5000,
            "embedding": b"\x00<\x00\xbc" * 96,
            "head": bytes(range(256)),
        },
        {**MESSAGE, "id": BARE},
        {**MESSAGE, "id": LABELLED, "verdict": "ham", "text": "", "received_at": LONG_AGO},
    ],
    "training_runs": [
        {**RUN},
        {
            **RUN,
            "due_for": NOON,
            "requested_by": ODD,
            "state": "promoted",
            "reason": ODD * 100,
            "started_at": NOON,
            "finished_at": NOON,
            "trainer": ODD,
            "token": 2**40,
            "stage": "published",
            "attempts": 3,
            "trained_from": "2026-01-01.1",
            "candidate": "2026-01-02.1",
            "data_digest": "ef" * 32,
            "figures": {"gate": [1, 2.5, None, ODD]},
        },
    ],
    "champions": [
        {"version": "2026-01-01.1", "at": NOON, "by": "ann", "why": ODD},
        {"version": "2026-01-02.1", "at": NOON, "by": "trainer", "why": ""},
        {"version": "2026-01-01.1", "at": NOON, "by": "ann", "why": "back", "takes_back": 2},
    ],
    "labels": [
        {
            "message_id": message_id,
            "task": "spam",
            "label": label,
            "by": by,
            "source": "slack",
            "at": NOON,
            **more,
        }
        for message_id, label, by, more in (
            (LABELLED, "spam", "ann", {}),
            (LABELLED, "ham", "ann", {"replaces": 1}),
            (FULL, "spam", ODD, {}),
            (FULL, "spam", "bob", {}),
            (FULL, "spam", "bob", {"undoes": 4}),
        )
    ],
    "incidents": [
        {"kind": "next_hop", "source": ODD, "text": ODD, "began_at": NOON, "seen_at": NOON},
        {
            "kind": "bundle",
            "source": "",
            "text": "",
            "began_at": LONG_AGO,
            "seen_at": NOON,
            "ended_at": NOON,
        },
    ],
    "pauses": [
        {"what": "cards", "paused": True, "by": ODD, "at": NOON},
        {"what": "nights", "paused": False, "by": "ann", "at": NOON},
    ],
    "slack_posts": [
        {**POST, "key": f"card:{FULL}", "message_id": FULL, "next_at": NOON, "created_at": NOON},
        {
            **POST,
            "key": ODD,
            "content": {"why": [ODD], "lines": [ODD * 100]},
            "answers": f"card:{FULL}",
            "ts": "1.2",
            "shown": 1,
            "next_at": NOON,
            "created_at": NOON,
            "given_up": ODD,
        },
    ],
    "slack_events": [{"key": ODD, "at": NOON}],
    "bundle_scores": [{"version": "2026-01-01.1", "message_id": FULL, "spam": 1 / 3}],
}
