"""One target under the fuzzer: fuzz_one.py TARGET and libFuzzer's own options and folders.

What a target reads with is instrumented, so that an input which reaches a new branch is kept and
varied. Not so for growth: instruments would take most of the time that it measures, and a mail
that is dear reaches no new branch, it reaches an old one again and again.
"""

import random
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
READERS = ["filterd.mail", "filterd.pipeline", "filterd.learner"]
VARIED = 0.25  # of the inputs for growth are varied by octets, the others made of words


def main():
    target, *options = sys.argv[1:]
    # libFuzzer wants some instruments: for growth those of the target itself.
    with atheris.instrument_imports(include=["fuzz_targets"] if target == "growth" else READERS):
        from fuzz_targets import TARGETS
    varying = {"custom_mutator": grow} if target == "growth" else {}
    atheris.Setup([sys.argv[0], *options], TARGETS[target], **varying)
    atheris.Fuzz()


def grow(octets, most, seed):
    """The next input for growth."""
    from fuzz_seeds import growing_at_random

    choices = random.Random(seed)
    if choices.random() < VARIED:
        return atheris.Mutate(octets, most)
    return growing_at_random(choices)[:most]


if __name__ == "__main__":
    main()
