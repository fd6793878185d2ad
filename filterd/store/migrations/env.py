"""Runs migrations on the connection that `filterd.store.schema.upgrade` hands over.

There is no alembic.ini; `python -m filterd.store.migrations "what changes"` drafts a revision.
"""

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import TypeDecorator

from filterd.store.tables import Base


def plain_type(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write columns as what they are in the database: our own types may change or go."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter columns; Alembic copies the table instead
    render_item=plain_type,
)
# The transaction, and the lock, are the caller's.
context.run_migrations()
