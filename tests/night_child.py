"""Goes on with a run and kills itself when a stage begins: `night_child.py FOLDER RUN TOKEN STAGE`."""

import os
import signal
import sys
from pathlib import Path

from night_site import OWN, Silent

from filterd.settings import Settings
from filterd.store.database import open_database
from filterd.store.runs import get_run
from trainer.night_run import Night


def main(folder, number, token, victim):
    def at(name):
        if name == victim:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(database=f"sqlite:///{folder}/filterd.db", models=Path(folder) / "models")
    database = open_database(settings.database)
    run = get_run(database, int(number))
    night = Night(
        database, settings, OWN, run, int(token), observer=Silent(at), decide=lambda _: (True, "")
    )
    print(night.go())


if __name__ == "__main__":
    main(*sys.argv[1:])
