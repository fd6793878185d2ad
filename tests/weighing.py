"""A process that judges bombs and says what each cost it: python weighing.py, a name a line.

Each is judged in a child of its own that has the mail already: what it takes is then the judging's.
"""

import ctypes
import json
import os
import re
import resource
import sys
import time
from pathlib import Path

from filterd.learner.features import Evidence, features
from filterd.mail.stamp import stamp
from filterd.pipeline import read

# A longer mail is not taken (max_message_size) but where a site wants it: it is read here all the
# same, though not stamped, which gives a second one.
LONGEST_STAMPED = 52_428_800


def main():
    from mail_bombs import THEMES

    bombs = {name: make for _, _, bombs in THEMES for name, make in bombs.items()}
    read(b"Subject: a\r\n\r\nx")  # what is loaded at the first mail is no mail's cost
    for line in sys.stdin:
        raw = bombs[line.rstrip("\n")]()
        print(json.dumps(weighed(raw)), flush=True)


def weighed(raw):
    """CPU seconds, MiB and what came out, by a child."""
    # What making the mail left free would be used again and not be seen as more.
    ctypes.CDLL(None).malloc_trim(0)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(judged(raw)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text)


def judged(raw):
    before = resident()
    started = time.process_time()
    reading = read(raw)
    features(Evidence(reading.head, reading.text))
    stamped = b""
    if len(raw) <= LONGEST_STAMPED:
        stamped = stamp(raw, [("X-Filterd-Verdict", "ham")], subject_tag="[SPAM]")
    return {
        "cpu": time.process_time() - started,
        "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before,
        "text": len(reading.message.text),
        "rendered": len(reading.text),
        "stamped": not stamped or b"X-Filterd-Verdict: ham" in stamped[:100],
        "size": len(raw),
    }


def resident():
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


if __name__ == "__main__":
    main()
