"""The stages of a night, in their order; each leaves its result where the next finds it."""

from __future__ import annotations

import signal

DATA = "data"
TRAINING = "training"
EXPORT = "export"
GATE = "gate"
SCORES = "scores"
PUBLISH = "publish"
SHADOW = "shadow"
PROMOTE = "promote"
STAGES = (DATA, TRAINING, EXPORT, GATE, SCORES, PUBLISH, SHADOW, PROMOTE)

# In a run's work folder: its mails with their texts, for as long as the run is not over.
TEXTS = "data.json"

LEASE = "trainer"
# Exit codes of the child process, beside 0.
EXIT_FAILED = 70  # EX_SOFTWARE: failed, and said why
EXIT_OUT_OF_MEMORY = 75  # EX_TEMPFAIL: try again with smaller batches
EXIT_LEASE_LOST = 73  # EX_CANTCREAT: another trainer is at work
# A process ran out of memory: it says so, or the kernel ended it, which it does to whoever holds
# the most.
OUT_OF_MEMORY = frozenset({EXIT_OUT_OF_MEMORY, -signal.SIGKILL})
