"""A bot that runs, its database, and what people do with it in Slack."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot_process import Bot
from lessons import evidence
from slack_limits import message_problems, view_problems
from slack_stage.workspace import ALERTS, DESK
from store_records import make_record

from filterd.learner.features import Evidence, pack
from filterd.store.database import open_database
from filterd.store.labels import history
from filterd.store.messages import write_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from slack_stage import Delivery, Ephemeral, Person, Slack
    from slack_stage.slack import Way

Json = dict[str, Any]

# Stands in every mail, and must stand in no log.
PRIVATE = "zanzibar"
NUMBERS = itertools.count(1)
SAID = ("chat.postMessage", "chat.update", "chat.postEphemeral")


class Office:
    """A bot and its database, and the Slack in which people use it."""

    def __init__(self, folder: Path, slack: Slack, *, by: Way = "http", **settings: str) -> None:
        self.slack, self.by, self.folder = slack, by, folder
        self.desk = slack.channel_id(DESK)
        own = {"digest_at": "", "alerts_channel": slack.channel_id(ALERTS)}
        self.bot = Bot(folder, slack, by, self.desk, **own | settings).start()
        self.database = open_database(f"sqlite:///{folder / 'var/filterd.db'}")
        self._views: list[Json] = []
        self._heard = 0
        self._planned: set[str] = set()

    def begin(self) -> None:
        """As for a new test."""
        self.slack.bot_url = self.bot.url
        self._views.clear()
        self._planned.clear()
        self._heard = len(self.bot.log())

    def end(self) -> None:
        """Stop the bot."""
        self.database.close()
        assert self.bot.stop() == 0, self.bot.log()

    # Mail

    def mail(self, kind: str = "watch", *, spam: float = 0.02, **changes: Any) -> str:
        """A mail that has just come; its id, whose first ten characters no other has."""
        number = next(NUMBERS)
        found = evidence(number, kind)
        values = {
            "id": f"01JD{number:06d}ABCDEFGHJKMNPQRS",
            "received_at": self.now(),
            "subject": f"{PRIVATE} {kind} {number}",
            "from_address": f"{kind}{number}@{PRIVATE}.example",
            "text": f"{found.text} {PRIVATE}",
            "head": pack(Evidence(found.head, found.text).head),
            "verdict": "spam" if spam >= 0.9 else "ham",
            "spam": spam,
            "scores": {"spam": {"ham": 1 - spam, "spam": spam}},
        }
        record = make_record(number, **values | changes)
        write_batch(self.database, [record])
        return record.id

    def now(self) -> datetime:
        """As the bot's clock says."""
        return datetime.now(UTC)

    def rows(self, mail_id: str) -> list[tuple[str, str, str]]:
        """What was said of a mail: label, who, and `given` or `undone`."""
        return [
            (row.label, row.by, "given" if row.undoes is None else "undone")
            for row in history(self.database, mail_id)
        ]

    # What people do

    def send(self, payload: Json, **options: Any) -> Delivery:
        """Hand the bot a payload; it must take it."""
        delivery = self.slack.send(payload, by=self.by, **options)
        assert delivery.ok, (delivery, self.log)
        if "view" in delivery.body:
            self._views.append(delivery.body["view"])
        return delivery

    def told(self, person: Person, act: Callable[[], object]) -> Ephemeral:
        """What a person alone is shown when someone does something."""
        before = len(self.slack.ephemerals(person))
        act()
        return self.slack.wait_until(
            lambda: self.slack.ephemerals(person)[before:], f"an answer to {person.name}"
        )[0]

    def type(self, person: Person, text: str, channel: str = "") -> Ephemeral:
        """The answer to `/filterd TEXT`."""
        return self.told(person, lambda: self.send(person.slash(channel or self.desk, text)))

    def click(self, person: Person, where: Any, action_id: str, **chosen: Any) -> Ephemeral:
        """What a person alone is shown after a click."""
        click = person.click(where, action_id, **chosen)
        return self.told(person, lambda: self.send(click))

    def opened(
        self, person: Person, payload: Json, wanted: Callable[[Json], bool] | None = None
    ) -> Json:
        """The modal that a click or shortcut brings, filled in; or the first that is `wanted`."""
        before = len(self.slack.views(person))
        self.send(payload)

        def found() -> Json | None:
            views = self.slack.views(person)[before:]
            wants = wanted or (lambda view: ":hourglass" not in str(view["blocks"]))
            return next((view for view in reversed(views) if wants(view)), None)

        return self.slack.wait_until(found, f"a modal for {person.name}")

    def outcome(self, person: Person, payload: Json) -> str:
        """What a person sees first after this: an answer, a modal that is filled in, or Home."""
        seen = len(self._shown_to(person))
        self.send(payload)
        return str(
            self.slack.wait_until(
                lambda: self._shown_to(person)[seen:], f"something for {person.name}"
            )[0]
        )

    def _shown_to(self, person: Person) -> list[Any]:
        # All modals: who is shown one that another had opened is not known here.
        modals = [view["blocks"] for view in self.slack.views()]
        filled = [blocks for blocks in modals if ":hourglass" not in str(blocks)]
        return [*self.slack.ephemerals(person), *filled, *self._published(person)]

    def submitted(self, person: Person, view: Json, values: Mapping[str, Any]) -> Json:
        """What a modal becomes that is sent."""
        self.send(person.submit(view, values))
        changed = self.slack.views(person)[-1]
        if ":hourglass" in str(changed["blocks"]):  # it takes more than half a second
            number = len(self.slack.views(person))
            return self.slack.wait_until(lambda: self.slack.views(person)[number:], "more")[0]
        return changed

    def home(self, person: Person, act: Callable[[], object] | None = None) -> Json:
        """A person's Home as published after it is opened, or after something is done."""
        before = self._published(person)
        if act is None:
            self.send(person.home_opened())
        else:
            act()
        return self.slack.wait_until(lambda: self._published(person)[len(before) :], "Home")[0]

    def _published(self, person: Person) -> list[Json]:
        return [
            call.answer["view"]
            for call in self.slack.calls("views.publish")
            if call.arguments["user_id"] == person.id and call.answer["ok"]
        ]

    def card(self, mail_id: str) -> Json:
        """The card of a mail in the channel, once it is there."""

        def found() -> Json | None:
            messages = self.slack.messages(self.desk)
            return next((one for one in messages if mail_id in str(one.get("blocks"))), None)

        return self.slack.wait_until(found, f"a card of {mail_id}")

    # What must hold

    def fail(self, method: str, error: str, times: int = 1) -> None:
        """Slack will refuse a call, and that is meant."""
        self._planned.add(error)
        self.slack.fail(method, error, times)

    def expect(self, error: str) -> None:
        """A call will be refused with this, and that is meant."""
        self._planned.add(error)

    @property
    def log(self) -> str:
        """What the bot logged in this test."""
        return self.bot.log()[self._heard :]

    def problems(self) -> list[str]:
        """What Slack would not take of all that was said in this test; what the log may not have."""
        found = []
        for call in self.slack.calls():
            arguments = call.arguments
            if not call.answer["ok"] and call.answer["error"] not in self._planned:
                found.append(f"{call.method}: {call.answer}")
            if call.method in SAID:
                found += message_problems(arguments["text"], arguments["blocks"])
            if "view" in arguments:
                found += view_problems(arguments["view"])
        for response in self.slack.responses:
            found += message_problems(response.body["text"], response.body["blocks"])
        for view in self._views:
            found += view_problems(view)
        if "Traceback" in self.log:
            found.append(f"a traceback in the log:\n{self.log}")
        found += [f"in the log: {line}" for line in self.log.splitlines() if PRIVATE in line]
        said = "".join(str(call.arguments) for call in self.slack.calls() if call.method in SAID)
        for secret in (self.slack.bot_token, self.slack.app_token, self.slack.signing_secret):
            if secret in self.log or secret in said:
                found.append("a token in the log, or said to people")
        return found
