"""For developers: draft the revision that leads from the last one to `tables.py`.

    python -m filterd.store.migrations "what changes"

Look the draft over, then add its number to `REVISIONS`.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command

from filterd.store.database import open_database
from filterd.store.migrations import REVISIONS
from filterd.store.schema import alembic_config, upgrade

with tempfile.TemporaryDirectory() as folder:
    database = open_database(f"sqlite:///{Path(folder) / 'draft.db'}")
    upgrade(database)
    number = f"{len(REVISIONS) + 1:04d}"
    with database.write() as connection:
        config = alembic_config(connection)
        command.revision(config, " ".join(sys.argv[1:]), autogenerate=True, rev_id=number)
    database.close()
