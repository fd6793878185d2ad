"""The process of one night, which the trainer starts: `python -m trainer.night`. Not for people.

It does the run (`trainer.night_run`) and says by its exit code how that ended.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from pathlib import Path

import torch

from filterd.errors import FilterdError, ImpossibleError
from filterd.logs import configure_logs
from filterd.settings import load_settings, load_table
from filterd.store.database import open_database
from filterd.store.runs import get_run
from filterd.store.sealing import open_sealing, read_keys
from trainer.child import end_with_trainer
from trainer.errors import TrainingError
from trainer.memory import is_out_of_memory
from trainer.night_run import Night
from trainer.settings import TABLE, TrainerSettings
from trainer.stages import EXIT_FAILED, EXIT_LEASE_LOST, EXIT_OUT_OF_MEMORY
from trainer.tracking import require_mlflow


def main() -> int:
    """Entry point of the process that the trainer starts; not for people."""
    parser = argparse.ArgumentParser(prog="filterd-trainer-night")
    parser.add_argument("run", type=int)
    parser.add_argument("--token", type=int, required=True)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--config", type=Path)
    arguments = parser.parse_args()
    end_with_trainer()
    try:
        settings = load_settings(arguments.config)
        own = load_table(TrainerSettings, TABLE, arguments.config)
        configure_logs(settings, process="night", run=arguments.run)
        torch.set_num_threads(own.cores)
        choose_device(own.device)
        sealing = open_sealing(read_keys(settings.text_key_file))
        with closing(open_database(settings.database, sealing)) as database:
            run = get_run(database, arguments.run)
            if run is None:
                raise TrainingError(f"no training run {arguments.run}")
            require_mlflow(own.mlflow_url)
            Night(database, settings, own, run, arguments.token, arguments.batch).go()
    except ImpossibleError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_LEASE_LOST
    except FilterdError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    except OSError as error:
        # A full disk: the machine's trouble, not a bug of ours.
        name = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"{name}{error.strerror or error}\n")
        return EXIT_FAILED
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        sys.stderr.write("out of memory\n")
        return EXIT_OUT_OF_MEMORY
    return 0


def choose_device(wanted: str) -> None:
    """Train where the settings say. Raises TrainingError if that is a GPU and there is none."""
    if wanted == "cpu":
        # Read when CUDA is first asked for, which nothing has done yet.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device is cuda, and this process sees no GPU; set it to auto or cpu")


if __name__ == "__main__":
    sys.exit(main())
