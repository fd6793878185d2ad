"""How slow the machine is at this moment, so that bounds on CPU time mean the same on any.

A shared processor varies by a factor of two within an hour. What a bound guards against is work
that grows faster than its input; that is slower by far more.
"""

from __future__ import annotations

import statistics
import time

LOOP = 100_000
# CPU seconds of the loop below on a processor of some 3.5 GHz (CPython 3.11); 0.006 on a Zen 3 core
# at 2.4 GHz that is left alone.
REFERENCE = 0.004


def slowness() -> float:
    """Times that plain Python takes longer here and now than at the reference speed; at least 1."""
    return max(statistics.median(_loop() for _ in range(5)) / REFERENCE, 1.0)


def _loop() -> float:
    started = time.process_time()
    total = 0
    for number in range(LOOP):
        total += number
    return time.process_time() - started
