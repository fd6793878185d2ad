"""Stands in for a night's process: does what its plan says, a word at a time.

    stand_in_night.py DATABASE PLAN RUN --token T [--batch N] [--config FILE]

It writes who it is to `starts` in its folder, and there holds a lock while it is at work.
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from trainer.child import end_with_trainer

STARTS, LOCK = Path("starts"), Path("lock")


def say(value):
    print(json.dumps(value), flush=True)


class StandIn:
    """One method for each word of a plan: `word` or `word:argument`."""

    def __init__(self, arguments):
        self.url, self.run, self.token = arguments.database, arguments.run, arguments.token
        self.batch = arguments.batch

    def do(self, word):
        name, _, argument = word.partition(":")
        getattr(self, name)(*([argument] if argument else []))

    def shadow(self):
        say({"stage": "shadow"})

    def stage(self, name):
        from filterd.store.runs import note_stage

        say({"stage": name})
        note_stage(self.store(), self.run, self.token, name, now=datetime.now(UTC))

    def end(self, state):
        from filterd.store.runs import finish_run

        finish_run(self.store(), self.run, self.token, state, "as planned", now=datetime.now(UTC))

    def store(self):
        from filterd.store.database import open_database

        return open_database(self.url)

    def prattle(self):
        print("a library says hello", flush=True)
        print("[1, 2]", flush=True)
        print("x" * 200_000, flush=True)

    def shows(self):
        """What it was given to live with."""
        names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")
        say({"nice": os.nice(0), **{name: os.environ.get(name) for name in names}})

    def remark(self, text):
        sys.stderr.write(f"something else\n\n\x1b[31m{text}")  # the last line without an end
        sys.stderr.flush()

    def leave(self, code):
        sys.exit(int(code))

    def memory(self, most):
        if (self.batch or 32) > int(most):
            sys.exit(75)

    def die(self, name):
        os.kill(os.getpid(), getattr(signal, name))

    def deaf(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def brood(self):
        """A process of its own that holds its output open."""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        say({"brood": child.pid})

    def rest(self, seconds):
        time.sleep(float(seconds))

    def hang(self):
        say({"hangs": os.getpid()})
        while True:
            signal.pause()

    def progress(self, name):
        say({"progress": [name, 3, 10]})

    def stop_trainer(self):
        os.kill(os.getppid(), signal.SIGTERM)

    def hang_once(self):
        if len(STARTS.read_text().splitlines()) == 1:
            self.hang()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("plan")
    parser.add_argument("run", type=int)
    parser.add_argument("--token", type=int, required=True)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--config")
    arguments = parser.parse_args()
    end_with_trainer()
    with STARTS.open("a") as starts, LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        about = {"alone": alone, "pid": os.getpid(), **vars(arguments)}
        starts.write(json.dumps(about) + "\n")
        starts.flush()
        stand_in = StandIn(arguments)
        for word in arguments.plan.split(","):
            stand_in.do(word)


if __name__ == "__main__":
    main()
