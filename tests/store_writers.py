"""What other processes do in the store's tests. Imports little, so that they start quickly."""

from itertools import count
from multiprocessing import get_context

from store_records import make_record

from filterd.store.database import open_database
from filterd.store.labels import add_label
from filterd.store.messages import write_batch
from filterd.store.schema import check, upgrade

# A clean process is forked for each; this one has threads.
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["store_writers", "alembic.command"])


def open_upgrade_and_check(url):
    """The problems found after opening and upgrading."""
    database = open_database(url)
    upgrade(database)
    try:
        return check(database)
    finally:
        database.close()


def write_50_batches(url, first, size, told):
    """As `write_batches`, but it ends."""
    write_batches(url, first, size, told, range(50))


def write_batches(url, first, size, told, batches=None):
    """Write batches of `size` records from number `first` on; tell each that is committed."""
    database = open_database(url)
    for batch in batches or count():
        start = first + batch * size
        records = [make_record(start + number, helo=f"batch {batch}") for number in range(size)]
        write_batch(database, records)
        told.send(batch)
    database.close()


def label_each(url, message_ids, by, told):
    """Label messages one after the other; tell the ids of the rows."""
    database = open_database(url)
    for message_id in message_ids:
        told.send(add_label(database, message_id, "spam", "spam", by, "cli").id)
    told.send(None)
    database.close()
