"""`filterd-trainer serve` or `run` with shorter waits than in life, and a stand-in for the night.

hasty_trainer.py serve PLAN
hasty_trainer.py run PLAN [--force] [--json]
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from filterd.commands.parts import open_store
from filterd.errors import FilterdError
from filterd.logs import configure_logs
from filterd.settings import load_settings, load_table
from trainer.lease import Term
from trainer.nights import run_once, serve
from trainer.settings import TABLE, TrainerSettings
from trainer.supervise import Ways

STAND_IN = Path(__file__).with_name("stand_in_night.py")
TERM = Term(timedelta(seconds=2))
HEARTBEAT = 0.2


def main(what, plan, *options):
    settings = load_settings(None)
    command = (sys.executable, str(STAND_IN), settings.database, plan)
    if what == "run":
        asked = {"force": "--force" in options, "as_json": "--json" in options}
        return run_once(None, None, **asked, command=command)
    own = load_table(TrainerSettings, TABLE, None)
    configure_logs(settings, process="trainer")
    ways = Ways(own, command=command, term=TERM, grace=1.0)
    with open_store(settings) as database:
        asyncio.run(serve(database, ways, heartbeat=HEARTBEAT))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except FilterdError as error:
        sys.stderr.write(f"filterd-trainer: {error}\n")
        sys.exit(error.exit_code)
