"""The poster: in order, one message a second, nothing lost and nothing twice, whatever Slack does."""

from __future__ import annotations

import asyncio
import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bot_office import Office
from slack_sdk.models.blocks import SectionBlock
from slack_sdk.web.async_client import AsyncWebClient
from store_records import make_record

from bot.desk import Desk
from bot.poster import EVENT, Pace, Poster, Said
from bot.rendering import Rendering
from filterd.store import posts
from filterd.store.labels import add_label
from filterd.store.messages import get, write_batch
from filterd.store.retention import purge

pytest_plugins = ("slack_fixtures", "store_fixtures", "daemon_fixtures")

NUMBERS = itertools.count(1)
QUICK = Pace(between=0.02, first_pause=0.1, longest_pause=0.3, for_people=0.2)
SPEAKING = ("chat.postMessage", "chat.update")
FILTERD = str(Path(sys.executable).with_name("filterd"))


def now():
    return datetime.now(UTC)


@contextmanager
def saying(database, url, pace=QUICK, render=None):
    """A poster that runs on a thread of its own. `render`: (post, what it would show) -> Said."""
    begun = queue.SimpleQueue()

    async def run():
        ended = asyncio.Event()
        begun.put((asyncio.get_running_loop(), ended))
        desk = Desk(database, Path(), now=now, patience=2.0)
        rendering = Rendering(desk, None, None, excerpt=True)

        async def said(post):
            usual = await rendering.said(post)
            return usual if render is None else render(post, usual)

        client = AsyncWebClient("xoxb-filterd", base_url=url, timeout=5, retry_handlers=[])
        poster = Poster(client, desk, said, now=now, clock=time.monotonic, pace=pace)
        saying = asyncio.create_task(poster.run())
        await asyncio.wait(
            {saying, asyncio.create_task(ended.wait())}, return_when="FIRST_COMPLETED"
        )
        failed = saying.exception() if saying.done() else None
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
        await desk.close()
        assert failed is None

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(asyncio.run, run())
        loop, ended = begun.get()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(ended.set)
        running.result(20)


class Lines:
    """Posts of plain text in a channel."""

    def __init__(self, database, slack, channel):
        self.database, self.slack, self.channel = database, slack, channel
        self.keys = []

    def add(self, count=1, channel=None, **changes):
        for _ in range(count):
            key = f"line {next(NUMBERS)} {time.monotonic_ns()}"
            self.keys.append(key)
            values = {"kind": "reply", "content": {"text": key}, "now": now()}
            posts.add_post(
                self.database, key=key, channel=channel or self.channel, **values | changes
            )
        return self.keys[-1]

    def get(self, key):
        return posts.get_post(self.database, key)

    def shown(self, channel=None):
        texts = [message["text"] for message in self.slack.messages(channel or self.channel)]
        return [text for text in texts if text in self.keys]

    def wait(self, *keys):
        """Until they are shown as they should be, or given up."""

        def done():
            found = [self.get(key) for key in keys or self.keys]
            return all(one.given_up or one.shown == one.wanted for one in found)

        self.slack.wait_until(done, "all posts said", 20)


@pytest.fixture
def lines(sqlite_database, slack, desk):
    return Lines(sqlite_database, slack, desk)


def gaps(slack, channel):
    """Seconds between messages in a channel, as they came to Slack."""
    at = [
        call.at
        for call in slack.calls()
        if call.method in SPEAKING and call.arguments["channel"] == channel
    ]
    return [later - earlier for earlier, later in itertools.pairwise(at)]


def change(lines, key, text):
    lines.keys.append(text)
    posts.change_post(lines.database, key, {"text": text}, now=now())


# Order and pace


def test_posts_are_said_in_order_in_each_channel(lines, slack, alerts):
    lines.add(5)
    for _ in range(3):
        lines.add(channel=alerts)
    with saying(lines.database, slack.api_url):
        lines.wait()
    assert lines.shown() == lines.keys[:5]
    assert lines.shown(alerts) == lines.keys[5:]


def test_a_channel_gets_one_message_a_second_new_ones_and_changes_together(lines, slack, alerts):
    first = lines.add(2)
    other = lines.add(channel=alerts)
    begun = time.monotonic()
    with saying(lines.database, slack.api_url, pace=Pace()):
        lines.wait(first, other)
        change(lines, first, "changed once")
        lines.add()
        lines.wait(first, lines.keys[-1])
    assert [call.method for call in slack.calls() if call.method in SPEAKING].count(
        "chat.update"
    ) == 1
    assert min(gaps(slack, lines.channel)) >= 1.0
    assert time.monotonic() - begun < 8.0
    assert len(gaps(slack, lines.channel)) == 3


def test_too_many_requests_are_answered_by_waiting_as_told(lines, slack):
    lines.add(2)
    slack.rate_limit("chat.postMessage", 2)
    with saying(lines.database, slack.api_url):
        lines.wait()
    refused, *said = slack.calls("chat.postMessage")
    assert refused.answer == {"ok": False, "error": "ratelimited"}
    assert said[0].at - refused.at >= 2.0
    assert lines.shown() == lines.keys
    assert slack.calls("conversations.history") == []  # what was refused was not taken


def test_another_channel_does_not_wait_for_one_that_must(lines, slack, alerts):
    lines.add()
    other = lines.add(channel=alerts)
    slack.rate_limit("chat.postMessage", 30)
    with saying(lines.database, slack.api_url):
        lines.wait(other)
    assert lines.shown() == []


def test_a_reply_goes_into_the_thread_of_what_it_answers(lines, slack):
    first = lines.add()
    reply = lines.add(answers=first)
    with saying(lines.database, slack.api_url):
        lines.wait()
    thread = slack.thread(lines.channel, lines.get(first).ts)
    assert [message["text"] for message in thread] == [first, reply]


# Refusals


@pytest.mark.parametrize("reason", ["not_in_channel", "channel_not_found", "invalid_auth"])
def test_what_people_must_put_right_is_waited_for(lines, slack, reason):
    lines.add(2)
    slack.fail("chat.postMessage", reason, 3)
    with saying(lines.database, slack.api_url):
        slack.wait_for_call("chat.postMessage", 3)
        assert lines.shown() == []
        lines.wait()
    assert lines.shown() == lines.keys
    assert slack.calls("chat.postMessage")[1].at - slack.calls("chat.postMessage")[0].at >= 0.2


@pytest.mark.parametrize("reason", ["invalid_blocks", "msg_too_long"])
def test_what_slack_will_never_take_is_given_up_and_the_rest_goes_on(lines, slack, reason):
    bad, good = lines.add(), lines.add()
    slack.fail("chat.postMessage", reason)
    with saying(lines.database, slack.api_url):
        lines.wait()
    assert lines.get(bad).given_up == reason
    assert lines.shown() == [good]


def test_trouble_of_slacks_own_is_no_reason_to_give_up(lines, slack):
    lines.add(2)
    slack.fail("chat.postMessage", "internal_error", 12)
    with saying(lines.database, slack.api_url):
        lines.wait()
    assert lines.shown() == lines.keys


def test_a_refusal_nobody_knows_is_given_up_after_some_attempts(lines, slack):
    bad, good = lines.add(), lines.add()
    slack.fail("chat.postMessage", "out_of_paint", 10)
    with saying(lines.database, slack.api_url):
        lines.wait()
    assert lines.get(bad).given_up == "out_of_paint"
    assert lines.shown() == [good]


def test_a_message_deleted_in_slack_is_given_up_when_it_changes(lines, slack):
    first, other = lines.add(), lines.add()
    with saying(lines.database, slack.api_url):
        lines.wait()
        slack.ask("chat.delete", channel=lines.channel, ts=lines.get(first).ts)
        change(lines, first, "unseen")
        change(lines, other, "seen")
        lines.wait(first, other)
    assert lines.get(first).given_up == "message_not_found"
    assert lines.shown() == ["seen"]


def test_a_post_that_cannot_be_shown_is_given_up_and_the_rest_goes_on(lines, slack):
    broken, too_long, good = lines.add(), lines.add(), lines.add()

    def render(post, usual):
        if post.key == broken:
            raise KeyError("text")
        if post.key == too_long:
            return Said([SectionBlock(text="x" * 4000)], "x", 1)
        return usual

    with saying(lines.database, slack.api_url, render=render):
        lines.wait()
    assert lines.get(broken).given_up == "cannot be shown: KeyError"
    assert lines.get(too_long).given_up == "cannot be shown: SlackObjectFormationError"
    assert lines.shown() == [good]


def test_a_reply_to_what_was_never_said_is_given_up(lines, slack):
    first = lines.add()
    reply = lines.add(answers=first)
    slack.fail("chat.postMessage", "invalid_blocks")
    with saying(lines.database, slack.api_url):
        lines.wait()
    assert lines.get(reply).given_up == "what it answers was never said"
    assert lines.shown() == []


# A card


def test_a_card_whose_mail_is_no_longer_kept_says_so(lines, slack):
    record = make_record(1, id=f"01JE{next(NUMBERS):022d}", subject="secret plan")
    write_batch(lines.database, [record])
    key = posts.card_key(record.id)
    card = {"kind": posts.CARD, "content": {"asked": "", "why": []}, "message_id": record.id}
    posts.add_post(lines.database, key=key, channel=lines.channel, now=now(), **card)
    with saying(lines.database, slack.api_url):
        lines.wait(key)
        assert "secret plan" in str(slack.messages(lines.channel)[-1])
        purge(lines.database, now=now() + timedelta(days=2), retention_days=1, store_text="all")
        assert get(lines.database, record.id) is None
        posts.add_post(lines.database, key=key, channel=lines.channel, now=now(), **card)
        lines.wait(key)
    assert "no longer kept" in str(slack.messages(lines.channel)[-1]["blocks"])


# Crashes, in the small


def taken(lines, key, thread=None):
    """As a bot leaves it that died after Slack took a post and before that was noted."""
    post = lines.get(key)
    assert posts.begin_post(lines.database, post, now())
    where = {} if thread is None else {"thread_ts": thread}
    metadata = {"event_type": EVENT, "event_payload": {"key": key}}
    answer = lines.slack.ask(
        "chat.postMessage", channel=lines.channel, text=key, metadata=metadata, **where
    )
    return answer["ts"]


def test_what_slack_took_before_a_crash_is_found_and_not_said_twice(lines, slack):
    key = lines.add()
    ts = taken(lines, key)
    for number in range(210):  # more than a page
        slack.ask("chat.postMessage", channel=lines.channel, text=f"talk {number}")
    with saying(lines.database, slack.api_url):
        lines.wait()
    assert lines.get(key).ts == ts
    assert slack.calls("chat.postMessage") == []
    assert len(slack.calls("conversations.history")) == 2


def test_a_reply_that_slack_took_before_a_crash_is_found_in_its_thread(lines, slack):
    first = lines.add()
    with saying(lines.database, slack.api_url):
        lines.wait()
    reply = lines.add(answers=first)
    ts = taken(lines, reply, lines.get(first).ts)
    with saying(lines.database, slack.api_url):
        lines.wait()
    assert lines.get(reply).ts == ts
    assert len(slack.thread(lines.channel, lines.get(first).ts)) == 2


def test_a_search_that_slack_refuses_does_not_end_in_saying_it_twice(lines, slack):
    key = lines.add()
    taken(lines, key)
    slack.rate_limit("conversations.history", 1)
    slack.fail("conversations.history", "missing_scope")
    slack.fail("conversations.history", "internal_error")
    with saying(lines.database, slack.api_url):
        lines.wait()
    assert slack.calls("chat.postMessage") == []
    assert lines.shown() == [key]


def test_what_was_begun_and_not_taken_is_said(lines, slack):
    key = lines.add()
    posts.begin_post(lines.database, lines.get(key), now())
    with saying(lines.database, slack.api_url):
        lines.wait()
    assert lines.shown() == [key]


class Answers(BaseHTTPRequestHandler):
    """A Slack whose front answers as `plan` says: a status, "cut" for nothing at all, or JSON."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.called.append(self.path.partition("?")[0].rpartition("/")[2])
        answer = self.server.plan.pop(0) if self.server.plan else {"ok": True, "ts": "17.1"}
        if answer == "cut":
            self.close_connection = True
            return
        body, kind = (json.dumps(answer), "application/json")
        if not isinstance(answer, dict):
            body, kind = "<html>Service Unavailable</html>", self.server.kind
        self.send_response(200 if isinstance(answer, dict) else answer)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET  # noqa: N815  # http.server's names

    def log_message(self, *_):
        pass


@pytest.fixture
def front():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.called, server.plan, server.kind = [], [], "text/html"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def url_of(front):
    return f"http://127.0.0.1:{front.server_port}/api/"


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/json"])
def test_an_error_page_before_slack_is_an_outage(lines, front, kind):
    key = lines.add()
    front.kind = kind
    front.plan = [503, 502, {"ok": True, "messages": []}]
    with saying(lines.database, url_of(front)):
        lines.wait()
    assert lines.get(key).ts == "17.1"
    assert lines.get(key).given_up is None


def test_a_call_whose_connection_was_cut_may_have_been_taken(lines, front):
    key = lines.add()
    found = {"ts": "16.5", "metadata": {"event_payload": {"key": key}}}
    front.plan = ["cut", {"ok": True, "messages": [found]}]
    with saying(lines.database, url_of(front)):
        lines.wait()
    assert lines.get(key).ts == "16.5"
    assert front.called == ["chat.postMessage", "conversations.history", "chat.update"]


# Whole processes


@pytest.fixture
def office(site, slack):
    office = Office(site, slack, hasty=True, cards="spam")
    office.begin()
    yield office
    office.end()


def spam(office):
    return office.mail(spam=0.95)


def card_of(office, mail_id):
    found = [
        one
        for one in office.slack.messages(office.desk)
        if any(mail_id in str(block.get("block_id")) for block in one.get("blocks", []))
    ]
    assert len(found) <= 1, "two cards of one mail"
    return found[0] if found else None


def said_by(office, mail_id, person):
    card = card_of(office, mail_id)
    return card is not None and f"{person} said *Not spam*" in str(card["blocks"])


def label_by_command(office, mail_id, person):
    command = [FILTERD, "label", mail_id, "ham", "--by", person]
    done = subprocess.run(command, cwd=office.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_after_an_outage_of_slack_all_cards_catch_up_in_order(office, slack):
    ids = [spam(office) for _ in range(4)]
    for id_ in ids:
        office.card(id_)
    before = [get(office.database, id_) for id_ in ids]
    label_by_command(office, ids[0], "ann")
    slack.go_down()
    label_by_command(office, ids[3], "ann")
    for id_ in ids[1:3]:
        add_label(office.database, id_, "spam", "ham", "ann", "cli")
    late = spam(office)
    slack.wait_until(lambda: slack.unanswered, "a call that nobody answers")
    slack.clear()
    slack.come_back()
    for id_ in ids:
        slack.wait_until(lambda id_=id_: said_by(office, id_, "ann"), "the label on the card", 20)
    office.card(late)
    updates = [call.arguments["ts"] for call in slack.calls("chat.update")]
    wanted = [card_of(office, id_)["ts"] for id_ in ids]
    assert updates == [ts for ts in wanted if ts in updates]
    assert len(updates) >= 3
    assert [get(office.database, id_) for id_ in ids] == before
    assert "Traceback" not in office.log


def test_what_is_pending_outlives_a_restart(office, slack):
    first = spam(office)
    office.card(first)
    slack.go_down()
    add_label(office.database, first, "spam", "ham", "ann", "cli")
    ids = [spam(office) for _ in range(3)]
    slack.wait_until(
        lambda: all(posts.get_post(office.database, posts.card_key(id_)) for id_ in ids), "posts"
    )
    assert office.bot.stop() == 0
    slack.clear()
    slack.come_back()
    office.bot.start()
    for id_ in ids:
        office.card(id_)
    slack.wait_until(lambda: said_by(office, first, "ann"), "the label on the card")
    assert len(slack.calls("chat.postMessage")) == 3


def is_calling(slack):
    """Whether someone is connected to the stage: by HTTP, only a bot that waits for an answer."""
    port = int(slack.url.rpartition(":")[2])
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_a_bot_killed_while_slack_takes_a_card_makes_no_second_one(office, slack):
    office.card(spam(office))
    slack.clear()
    slack.delay("chat.postMessage", 1.0)
    id_ = spam(office)
    slack.wait_until(lambda: is_calling(slack), "the call")
    office.bot.kill()
    slack.wait_for_call("chat.postMessage")
    slack.delay("chat.postMessage", 0.0)
    key = posts.card_key(id_)
    post = posts.get_post(office.database, key)
    assert (post.ts, post.attempts) == (None, 1)
    office.bot.start()
    slack.wait_until(lambda: posts.get_post(office.database, key).shown, "a card found", 20)
    assert len(slack.calls("chat.postMessage")) == 1
    assert posts.get_post(office.database, key).ts == card_of(office, id_)["ts"]


def test_a_bot_told_to_end_notes_what_slack_is_taking(office, slack):
    slack.delay("chat.postMessage", 1.0)
    id_ = spam(office)
    slack.wait_until(lambda: is_calling(slack), "the call")
    assert office.bot.stop() == 0
    assert posts.get_post(office.database, posts.card_key(id_)).ts == card_of(office, id_)["ts"]
    slack.delay("chat.postMessage", 0.0)
    office.bot.start()
