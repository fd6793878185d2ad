"""Twenty people click on two hundred cards at once; tests/bench/bench_bot.py has the whole of it."""

import pytest
from bot_crowd import all_said, cards_behind, click_all, put_up_cards, shortest_gap
from bot_office import Office

from filterd.store.database import open_database
from filterd.store.labels import history

pytest_plugins = ("slack_fixtures", "daemon_fixtures")

ACK_SECONDS = 1.0
CARDS, EACH = 200, 20


@pytest.mark.parametrize("by", ["http", "socket"])
def test_every_click_of_a_crowd_is_acknowledged_in_time_and_none_is_lost(site, slack, crowd, by):
    office = Office(site, slack, by=by, cards="none")
    office.begin()
    cards = put_up_cards(office.database, slack, office.desk, CARDS)
    wanted = {
        person: [cards[(EACH * number + step) % CARDS] for step in range(EACH)]
        for number, person in enumerate(crowd)
    }
    slack.clear()
    done = click_all(
        slack,
        by,
        office.bot.pid,
        [(person, [(card, "label:ham") for _, card in some]) for person, some in wanted.items()],
    )
    print("", *done.lines(), sep="\n")
    assert [each for each in done.deliveries if not each.ok] == []
    assert done.acks[-1] < ACK_SECONDS
    office.end()  # all that was begun is done
    assert shortest_gap(slack, office.desk) >= 1.0
    assert "Traceback" not in office.log
    names = labellers(site, [mail for mail, _ in cards])
    for mail, _ in cards:
        clicked = {person.id for person, some in wanted.items() if mail in dict(some)}
        assert names[mail] == sorted(clicked)
        assert len(clicked) == 2


def test_cards_that_all_click_at_once_end_up_showing_what_all_said(site, slack, crowd):
    office = Office(site, slack, by="http", cards="none")
    office.begin()
    cards = put_up_cards(office.database, slack, office.desk, 3)
    slack.clear()
    done = click_all(
        slack,
        "http",
        office.bot.pid,
        [
            (person, [(card, f"label:{label}") for label in ("spam", "ham") for _, card in cards])
            for person in crowd
        ],
    )
    assert [each for each in done.deliveries if not each.ok] == []
    slack.wait_until(lambda: all_said(office.database), "all said", 30)
    assert cards_behind(office.database, slack, office.desk) == []
    assert shortest_gap(slack, office.desk) >= 1.0
    office.end()


def labellers(site, mails):
    """Mail -> who labelled it."""
    database = open_database(f"sqlite:///{site / 'var/filterd.db'}")
    found = {mail: sorted(row.by for row in history(database, mail)) for mail in mails}
    database.close()
    return found
