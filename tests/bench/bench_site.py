"""What the site's learner costs, what wrong labels do to it, and whom a fingerprint finds.

    .venv/bin/python tests/bench/bench_site.py cost
    .venv/bin/python tests/bench/bench_site.py near
    .venv/bin/python tests/bench/bench_site.py wrong INDEX --bundle BUNDLE --scores FILE

cost: CPU of a mail and of a label, medians over the golden set; memory and time of a start with
100,000 labels in an SQLite file. near: of two mails of each of our letters' templates (the same
campaign), how many are near each other, and how many of different templates. wrong: 1,000 labels of
a shuffled stream, 200 of them given by one of five people; error on the rest of the stream if they
are right, if all 200 are wrong, and if they are left out.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import insert

from filterd.learner.explain import reasons
from filterd.learner.features import Evidence, head_of, pack
from filterd.learner.fingerprint import MOST_DISTANCE, fingerprint
from filterd.learner.site import Lesson, SiteLearner, build, clues_of
from filterd.mail.render import render
from filterd.model.bundle import SHIPPED
from filterd.model.encoder import open_encoder
from filterd.model.explain import explain
from filterd.pipeline import judge, read
from filterd.policy import Policy
from filterd.store.database import open_database
from filterd.store.schema import upgrade
from filterd.store.tables import Labels, Messages
from filterd.teaching import open_learner
from trainer.evaluate import missed_area
from trainer.letters import load_templates, unfold
from trainer.score_cache import ScoreCache
from trainer.stream import read_index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
LABELS = 100_000
TAUGHT, WRONG, PEOPLE = 1000, 200, 5


def cpu_ms(work: Callable[[], object], runs: int = 5) -> float:
    """Median of some runs."""
    found = []
    for _ in range(runs):
        started = time.process_time()
        work()
        found.append((time.process_time() - started) * 1000)
    return median(found)


def cost() -> None:
    """Print what a mail and a label cost, and what a start does."""
    raws = [path.read_bytes() for path in sorted(GOLDEN.rglob("*.eml"))]
    found = [Evidence(head_of(raw), read(raw).text, "mx.example", "192.0.2.1") for raw in raws]
    clues = [clues_of(each) for each in found]
    learner = SiteLearner()
    lessons = [
        Lesson(number, ("ham", "spam")[number % 2], "ann", 0.0, 0.5, each)
        for number, each in enumerate(clues)
    ]
    steps = {
        "head and its record": lambda: [pack(head_of(raw)) for raw in raws],
        "features and fingerprint": lambda: [clues_of(each) for each in found],
        "teach a label": lambda: [learner.teach(each) for each in lessons],
    }
    for what, work in steps.items():
        sys.stdout.write(f"{what:28} {cpu_ms(work) / len(raws):.3f} ms\n")
    encoder = open_encoder(SHIPPED)
    whys = []
    for each in found:
        started = time.process_time()
        explain(encoder, each.text)
        reasons(learner.model, each, 12)
        whys.append((time.process_time() - started) * 1000)
    sys.stdout.write(f"{'why':28} {median(whys):.0f} ms, at most {max(whys):.0f} ms\n")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/site.db"
        fill(url, found)
        database = open_database(url)
        started = time.process_time()
        large = open_learner(database)
        seconds = time.process_time() - started
        tracemalloc.start()
        kept = open_learner(database)
        held, most = (size / 2**20 for size in tracemalloc.get_traced_memory())
        tracemalloc.stop()
        del kept
        database.close()
    sys.stdout.write(f"judge, {large.labels} labels         ")
    asked = cpu_ms(lambda: [large.judge(0.5, each, 0.0) for each in clues])
    sys.stdout.write(f"{asked / len(clues):.3f} ms\n")
    sys.stdout.write(f"start, {LABELS} labels: {seconds:.1f} s of CPU; ")
    sys.stdout.write(f"{held:.0f} MiB held, {most:.0f} MiB at most\n")


def fill(url: str, found: Sequence[Evidence]) -> None:
    """A site of LABELS labelled mails, each with words of its own."""
    database = open_database(url)
    upgrade(database)
    start = datetime.now(UTC) - timedelta(days=30)
    chance = random.Random(1)
    mails = islice(cycle(found), LABELS)
    rows, labels = [], []
    for number, each in enumerate(mails):
        word = f"w{chance.getrandbits(60):x}"
        spam = chance.random()
        rows.append(
            {
                "id": f"{number:026d}", "received_at": start, "client_address": each.client_address,
                "helo": each.helo, "sender": "", "recipients": [], "size": 0, "digest": "",
                "subject": "", "from_address": "", "from_domain": "", "message_id": "", "outcome": "",
                "ms": 0.0, "scores": {"spam": {"ham": 1 - spam, "spam": spam}},
                "text": f"{each.text[:4000]} {word}", "head": pack(each.head),
            }
        )  # fmt: skip
        labels.append(
            {
                "message_id": f"{number:026d}", "task": "spam", "at": start, "source": "bench",
                "label": "spam" if number % len(found) % 2 else "ham", "by": f"person{number % 7}",
            }
        )  # fmt: skip
    with database.write() as connection:
        connection.execute(insert(Messages), rows)
        connection.execute(insert(Labels), labels)
    database.close()


def near() -> None:
    """Print the share of campaigns found by distance."""
    templates = [each for each in load_templates() if len(each.body) > 80]
    first, second = (
        [
            fingerprint(render(unfold(each, random.Random(seed + number)), max_characters=4096))
            for number, each in enumerate(templates)
        ]
        for seed in (0, 10_000)
    )
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    one, other = (np.stack(each) for each in zip(*pairs, strict=True))
    distances = np.bitwise_count(one[:, None] ^ other[None]).sum(axis=-1, dtype=np.int64)
    same, different = np.diag(distances), distances[~np.eye(len(distances), dtype=bool)]
    sys.stdout.write("distance  same template  other templates\n")
    for most in (40, 56, 64, 72, MOST_DISTANCE, 88):
        sys.stdout.write(
            f"{most:8}  {(same <= most).mean():13.3f}  {(different <= most).mean():.1e}\n"
        )


def wrong(index: Path, bundle: Path, scores: Path) -> None:
    """Print the error on a stream after right, wrong and no labels of one person."""
    encoder = open_encoder(bundle)
    mails = []
    with ScoreCache(scores, encoder.bundle) as cache:
        for entry in read_index(index):
            raw = entry.read()
            cached = cache.get(raw)
            bert = judge([raw], encoder, Policy())[0].spam if cached is None else cached.spam
            mails.append((entry.label, bert, clues_of(Evidence(head_of(raw), read(raw).text))))
    sys.stdout.write("seed  right    wrong    left out  distrusted\n")
    for seed in range(3):
        chance = random.Random(seed)
        shuffled = chance.sample(mails, len(mails))
        theirs = set(chance.sample(range(TAUGHT), WRONG))
        areas, distrusted = {}, []
        for way in ("right", "wrong", "left out"):
            lessons = [
                Lesson(number, _flipped(label) if way == "wrong" and number in theirs else label,
                       "mallory" if number in theirs else f"person{number % (PEOPLE - 1)}",
                       0.0, bert, clues)
                for number, (label, bert, clues) in enumerate(shuffled[:TAUGHT])
                if way != "left out" or number not in theirs
            ]  # fmt: skip
            learner = build(lambda lessons=lessons: lessons)
            rest = shuffled[TAUGHT:]
            spam = np.array([learner.judge(bert, clues, 0.0).spam for _, bert, clues in rest])
            areas[way] = missed_area(spam, np.array([label == "spam" for label, _, _ in rest]))
            distrusted = distrusted or sorted(learner.distrusted)
        figures = "   ".join(f"{areas[way]:.4f}" for way in areas)
        sys.stdout.write(f"{seed:4}  {figures}    {', '.join(distrusted) or 'nobody'}\n")


def _flipped(label: str) -> str:
    return "ham" if label == "spam" else "spam"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("cost", "near", "wrong"))
    parser.add_argument("index", type=Path, nargs="?")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--scores", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "cost":
        cost()
    elif arguments.what == "near":
        near()
    elif None in (arguments.index, arguments.bundle, arguments.scores):
        parser.error("wrong needs INDEX, --bundle and --scores")
    else:
        wrong(arguments.index, arguments.bundle, arguments.scores)


if __name__ == "__main__":
    main()
