"""What the fuzzer looks for must hold for what it begins with, and for all that it ever found."""

import pytest
from fuzz_seeds import FOUND, seeds
from fuzz_targets import TARGETS


@pytest.mark.scenario(
    "C01",
    "octets that fuzzing begins with or once found, for parse, html, unicode, render, stamp and growth",
    "nothing raises, all is bounded, time is linear, a stamped mail is the same but for our headers",
)
def test_what_the_fuzzer_begins_with_holds(record_property):
    count = 0
    for target, check in TARGETS.items():
        for seed in seeds(target):
            check(seed)
            count += 1
    record_property("figure", f"{count:,} inputs")


def test_what_was_found_is_of_a_target_there_is():
    assert all(path.name.partition("-")[0] in TARGETS for path in FOUND.iterdir())
