"""Twenty people, each of whom clicks on two hundred cards: acks, clicks a second, CPU, API calls.

    python tests/bench/bench_bot.py [--people 20] [--cards 200] [--by http]

Slack is the stage of the tests (Node.js; `make slack`), on the same machine, so that its own work
takes from what is measured.
"""

import argparse
import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bot_crowd import (
    all_said,
    calls_by_method,
    cards_behind,
    click_all,
    put_up_cards,
    shortest_gap,
)
from bot_office import Office
from daemon_process import BASE, toml
from slack_fixtures import PROXIES
from slack_stage import Slack
from slack_stage.workspace import CROWD
from tiny_bundle import make_tiny_bundle

from filterd.store.database import open_database
from filterd.store.labels import history
from filterd.store.models import register_bundle, set_champion
from filterd.store.schema import upgrade

CATCH_UP_SECONDS = 900.0


def furnish(folder):
    """A folder to run in, where a tiny bundle is champion, as for the tests."""
    bundle = make_tiny_bundle(folder / "var/models/tiny.1")
    database = open_database(f"sqlite:///{folder / 'var/filterd.db'}")
    upgrade(database)
    register_bundle(
        database,
        bundle.version,
        str(bundle.path),
        created_at=datetime.fromisoformat(bundle.created),
        data_digest=bundle.data_digest,
        metrics=bundle.metrics,
    )
    set_champion(database, bundle.version, by="bench", why="bench")
    database.close()
    (folder / "filterd.toml").write_text(toml(BASE))


def measure(folder, slack, options):
    office = Office(folder, slack, by=options.by, cards="none")
    office.begin()
    cards = put_up_cards(office.database, slack, office.desk, options.cards)
    people = [slack.person(name) for name in CROWD[: options.people]]
    # Each begins elsewhere, as people do.
    clicks = [
        (
            person,
            [
                (cards[(number * options.cards // len(people) + step) % len(cards)][1], "label:ham")
                for step in range(len(cards))
            ],
        )
        for number, person in enumerate(people)
    ]
    slack.clear()
    done = click_all(slack, options.by, office.bot.pid, clicks)
    print(f"{len(people)} people, {len(cards)} cards, by {options.by}\n")
    print("\n".join(done.lines()))
    begun = time.monotonic()
    while not all_said(office.database) and time.monotonic() - begun < CATCH_UP_SECONDS:
        time.sleep(0.5)
    print(f"{'until all cards were right':<34}{time.monotonic() - begun:>10.1f} s")
    seconds = done.seconds + time.monotonic() - begun
    for method, count in sorted(calls_by_method(slack).items()):
        print(f"{method:<34}{count:>12,}{count / seconds:>8.2f} a second")
    print(f"{'answers to clicks':<34}{len(slack.responses):>12,}")
    print(f"{'shortest time between two messages':<34}{shortest_gap(slack, office.desk):>10.2f} s")
    rows = {mail: {row.by for row in history(office.database, mail)} for mail, _ in cards}
    missing = sum(len({person.id for person in people} - by) for by in rows.values())
    print(f"{'labels lost':<34}{missing:>12}")
    behind = cards_behind(office.database, slack, office.desk)
    print(f"{'cards that do not show them':<34}{len(behind):>12}")
    office.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=len(CROWD))
    parser.add_argument("--cards", type=int, default=200)
    parser.add_argument("--by", choices=("http", "socket"), default="http")
    options = parser.parse_args()
    for name in PROXIES:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder, Slack() as slack:
        furnish(Path(folder))
        measure(Path(folder), slack, options)


if __name__ == "__main__":
    main()
