"""The schema's history. `REVISIONS` is oldest first, so that looking needs no Alembic."""

REVISIONS = ("0001", "0002", "0003", "0004")
HEAD = REVISIONS[-1]
