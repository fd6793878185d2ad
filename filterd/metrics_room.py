"""Room on the disk for what a worker counts, taken before prometheus_client maps its files.

It maps sparse files, and a page of one that finds no room on a full disk is a SIGBUS: the whole
worker ends, for a figure. No mail may depend on that, so without room nothing is exposed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
# prometheus_client's names for the kinds of metric in `filterd.metrics`, and the size it begins
# with: all of ours, at any number of labels that we give, take a fifth of that.
KINDS: Final = ("counter", "histogram", "gauge_livesum", "gauge_livemin", "gauge_livemax")
SIZE: Final = 1 << 16


def reserve() -> bool:
    """Take the room; if there is none, have this process count for itself alone, and say False."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return True
    made = [Path(folder) / f"{kind}_{os.getpid()}.db" for kind in KINDS]
    try:
        for path in made:
            with path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, SIZE)
    except OSError:
        for path in made:
            path.unlink(missing_ok=True)
        del os.environ[FOLDER]
        return False
    return True
