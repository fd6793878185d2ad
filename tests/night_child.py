"""A night in which something happens: `night_child.py FOLDER RUN TOKEN STAGE` goes on with a run
and kills itself when a stage begins.

`night_child.py fill FILE RUN --token TOKEN --config CONFIG` is `trainer.night` whose gate passes
all. When the candidate is about to be written, FILE takes all the room of a small disk.
"""

import errno
import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

from night_site import OWN, Silent

from filterd.settings import Settings
from filterd.store.database import open_database
from filterd.store.runs import get_run
from trainer import night
from trainer.night_run import Night
from trainer.telling import Lines

BLOCK = bytes(4096)
# Bytes: whoever names another disk by mistake fills none.
SMALL = 256 * 1024 * 1024
# The last that is measured before the candidate's bundle is written.
LAST = "int8"


class Filler(Lines):
    """Says what a night says, and fills the disk."""

    def __init__(self, file):
        self._file = file

    def progress(self, name, done, total):
        super().progress(name, done, total)
        if (name, done) == (LAST, total):
            fill(self._file)


def fill(file):
    """Write until the disk is full, which must be a small one."""
    assert shutil.disk_usage(file.parent).total <= SMALL
    with file.open("ab", buffering=0) as ballast:
        try:
            while True:
                ballast.write(BLOCK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def passes(_rules):
    return True, ""


def kill_at(folder, number, token, victim):
    def at(name):
        if name == victim:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(database=f"sqlite:///{folder}/filterd.db", models=Path(folder) / "models")
    database = open_database(settings.database)
    run = get_run(database, int(number))
    going = Night(database, settings, OWN, run, int(token), observer=Silent(at), decide=passes)
    print(going.go())


def fill_up(file):
    night.Night = partial(Night, observer=Filler(Path(file)), decide=passes)
    del sys.argv[1:3]
    return night.main()


if __name__ == "__main__":
    sys.exit(fill_up(sys.argv[2]) if sys.argv[1] == "fill" else kill_at(*sys.argv[1:]))
