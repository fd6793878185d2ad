"""Who may do what: each action by each role, however the role was given."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from bot_office import Office
from slack_stage import Ephemeral
from slack_stage.workspace import ADMIN_TOKEN, DESK
from sqlalchemy import text

from bot.access import Role
from bot.cards import mail_blocks
from bot.modals import find_modal
from bot.records import card_of
from filterd.store.labels import add_label, standing
from filterd.store.messages import get

if TYPE_CHECKING:
    from collections.abc import Callable

    from slack_stage import Person

pytest_plugins = ("slack_fixtures", "daemon_fixtures", "bot_fixtures")

ROLES = (Role.VIEWER, Role.LABELLER, Role.TRUSTED, Role.ADMIN)
SETTINGS = {
    Role.VIEWER: "viewers",
    Role.LABELLER: "labellers",
    Role.TRUSTED: "trusted",
    Role.ADMIN: "admins",
}
WAYS = ("user", "group", "channel")
# Role and way -> whose it is.
WHO = {(role, way): f"u{4 * WAYS.index(way) + role:02d}" for way in WAYS for role in ROLES}
NOBODY = "u20"
GROUPS = {role: f"S0ROLE{role:02d}" for role in ROLES}
# What is done by what is asked, and what may not change if it is refused.
TABLES = ("labels", "champions", "training_runs", "pauses", "slack_posts")


@pytest.fixture(scope="module")
def channels(slack_stage):
    """A channel for each role, in which is who has it by that."""
    found = {}
    for role in ROLES:
        name = f"role-{SETTINGS[role]}"
        found[role] = slack_stage.ask("conversations.create", ADMIN_TOKEN, name=name)["channel"][
            "id"
        ]
        slack_stage.ask("conversations.join", channel=found[role])
        user = slack_stage.user_id(WHO[role, "channel"])
        slack_stage.ask("conversations.invite", ADMIN_TOKEN, channel=found[role], users=user)
    return found


@pytest.fixture(scope="module")
def bot_settings(slack_stage, channels):
    return {
        SETTINGS[role]: f"{slack_stage.user_id(WHO[role, 'user'])},{GROUPS[role]},{channels[role]}"
        for role in ROLES
    }


@pytest.fixture(autouse=True)
def groups(slack):
    for role in ROLES:
        slack.groups[GROUPS[role]] = [slack.user_id(WHO[role, "group"])]


@dataclass
class Scene:
    """A mail that someone is about to do something with."""

    office: Office
    person: Person
    mail: str

    @property
    def card(self) -> Ephemeral:
        """Its card, as this person has it before him."""
        database = self.office.database
        card = card_of(get(database, self.mail), standing(database, self.mail), excerpt=False)
        blocks = [block.to_dict() for block in mail_blocks(card, in_queue=True)]
        return Ephemeral(self.person.id, self.office.desk, "1.2", "a card", blocks)

    def add_label(self, by: str) -> str:
        """A label that stands; its Undo."""
        row = add_label(self.office.database, self.mail, "spam", "spam", by, "slack")
        return f"undo:{row.id}"

    def types(self, words: str) -> dict[str, Any]:
        return self.person.slash(self.office.desk, words.format(self.mail))

    def clicks(self, action_id: str, **chosen: Any) -> dict[str, Any]:
        return self.person.click(self.card, action_id, **chosen)

    def bulk_modal(self) -> dict[str, Any]:
        """The modal of many mails, as someone who may has opened it."""
        other = self.office.slack.person(WHO[Role.TRUSTED, "user"])
        self.office.mail("bulk", from_address="many@senders.example")
        mail = self.office.mail("bulk", from_address="many@senders.example")
        scene = Scene(self.office, other, mail)
        return self.office.opened(other, scene.clicks("more", chosen=f"sender:{mail}"))

    def undo_all(self) -> dict[str, Any]:
        other = self.office.slack.person(WHO[Role.TRUSTED, "user"])
        done = self.office.submitted(other, self.bulk_modal(), {"verdict": "spam"})
        return self.person.click(done, "undo_all")

    def find_mail(self) -> dict[str, Any]:
        """The question for an id, answered."""
        view = {"id": "V0FIND", "hash": "1", "root_view_id": "V0FIND", "private_metadata": ""}
        return self.person.submit(view | find_modal("?").to_dict(), {"query": self.mail})


def shortcut(scene):
    message = scene.person.say(scene.office.desk, f"what of {scene.mail}?")
    return scene.person.shortcut("label_mail", message)


def opens(scene):
    queue = [
        {
            "type": "section",
            "block_id": f"queue:{scene.mail}",
            "text": {"type": "plain_text", "text": "a mail"},
            "accessory": {
                "type": "button",
                "action_id": f"open:{scene.mail}",
                "text": {"type": "plain_text", "text": "Open"},
                "value": scene.mail,
            },
        }
    ]
    shown = Ephemeral(scene.person.id, scene.office.desk, "1.2", "mails", queue)
    return scene.person.click(shown, f"open:{scene.mail}")


# What someone does -> the least role that may, and the payload that it makes.
ACTIONS: dict[str, tuple[Role, Callable[[Scene], dict[str, Any]]]] = {
    "/help": (Role.NOBODY, lambda scene: scene.types("help")),
    "/queue": (Role.VIEWER, lambda scene: scene.types("queue")),
    "/find": (Role.VIEWER, lambda scene: scene.types("find {}")),
    "/why": (Role.VIEWER, lambda scene: scene.types("why {}")),
    "/stats": (Role.VIEWER, lambda scene: scene.types("stats")),
    "/models": (Role.VIEWER, lambda scene: scene.types("models")),
    "/spam": (Role.LABELLER, lambda scene: scene.types("spam {}")),
    "/ham": (Role.LABELLER, lambda scene: scene.types("ham {}")),
    "/sentiment": (Role.LABELLER, lambda scene: scene.types("sentiment {} neutral")),
    "/undo": (Role.LABELLER, lambda scene: scene.types("undo {}")),
    "/retrain": (Role.ADMIN, lambda scene: scene.types("retrain")),
    "/rollback": (Role.ADMIN, lambda scene: scene.types("rollback")),
    "/rollback VERSION": (Role.ADMIN, lambda scene: scene.types("rollback tiny.1")),
    "/pause": (Role.ADMIN, lambda scene: scene.types("pause nights")),
    "/resume": (Role.ADMIN, lambda scene: scene.types("resume nights")),
    "Spam": (Role.LABELLER, lambda scene: scene.clicks("label:spam")),
    "Not spam": (Role.LABELLER, lambda scene: scene.clicks("label:ham")),
    "Sentiment": (Role.LABELLER, lambda scene: scene.clicks("label:sentiment", chosen="neutral")),
    "Undo own": (
        Role.LABELLER,
        lambda scene: scene.clicks(scene.add_label(scene.person.id)),
    ),
    "Undo another's": (Role.TRUSTED, lambda scene: scene.clicks(scene.add_label("U0SOMEONE"))),
    "Why?": (Role.VIEWER, lambda scene: scene.clicks("why")),
    "Details": (Role.VIEWER, lambda scene: scene.clicks("more", chosen=f"details:{scene.mail}")),
    "Next": (Role.VIEWER, lambda scene: scene.clicks("next")),
    "Open": (Role.VIEWER, opens),
    "Similar mails": (
        Role.TRUSTED,
        lambda scene: scene.clicks("more", chosen=f"similar:{scene.mail}"),
    ),
    "Mails of this sender": (
        Role.TRUSTED,
        lambda scene: scene.clicks("more", chosen=f"sender:{scene.mail}"),
    ),
    "Label all": (
        Role.TRUSTED,
        lambda scene: scene.person.submit(scene.bulk_modal(), {"verdict": "spam"}),
    ),
    "Undo all": (Role.TRUSTED, lambda scene: scene.undo_all()),
    "shortcut": (Role.LABELLER, shortcut),
}


def everything(office):
    """What the database holds beside mail."""
    with office.database.read() as connection:
        return {
            table: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))]  # noqa: S608  # our own names
            for table in TABLES
        }


def refusals(office):
    return [
        json.loads(line)
        for line in office.log.splitlines()
        if line.startswith("{") and json.loads(line)["event"] == "refused"
    ]


CAST = [(WHO[role, way], role, way) for way in WAYS for role in ROLES]
CAST.append((NOBODY, Role.NOBODY, "none"))


@pytest.mark.parametrize(
    ("who", "role"),
    [(who, role) for who, role, _ in CAST],
    ids=[f"{role.name.lower()} by {way}" for _, role, way in CAST],
)
@pytest.mark.parametrize("action", ACTIONS)
def test_who_may_is_let_and_who_may_not_is_told_and_changes_nothing(
    office, slack, who, role, action
):
    needed, make = ACTIONS[action]
    scene = Scene(office, slack.person(who), office.mail())
    payload = make(scene)
    before = everything(office)
    seen = office.outcome(scene.person, payload)
    if role >= needed:
        assert "Sorry" not in seen
        assert "Something went wrong" not in seen
        assert refusals(office) == []
        return
    have = "no role here" if role is Role.NOBODY else f"the role {role.name.lower()}"
    assert f"needs the role {needed.name.lower()}; you have {have}" in seen
    assert everything(office) == before
    (line,) = refusals(office)
    assert line["by"] == scene.person.id
    assert line["role"] == role.name.lower()
    assert line["action"] in seen
    assert scene.mail not in json.dumps(line)


def test_every_action_there_is_is_tried(office):
    """A new command needs a line above."""
    from bot.commands import COMMANDS

    assert {name.split()[0][1:] for name in ACTIONS if name.startswith("/")} == set(COMMANDS)


@pytest.mark.parametrize(("who", "role", "_way"), CAST, ids=[f"{r.name} {w}" for _, r, w in CAST])
def test_home_shows_mail_to_those_with_a_role_only(office, slack, who, role, _way):
    person = slack.person(who)
    home = json.dumps(office.home(person))
    if role is Role.NOBODY:
        assert "You have no role in it yet" in home
        assert "Mails to judge" not in home
    else:
        assert f"You have the role {role.name.lower()}." in home
        assert "Mails to judge" in home


def test_refresh_of_a_home_from_better_days_shows_no_more_than_a_new_one(office, slack):
    viewer = slack.person(WHO[Role.VIEWER, "user"])
    home = office.home(viewer)
    stranger = slack.person(NOBODY)
    again = office.home(stranger, lambda: office.send(stranger.click(home, "refresh")))
    assert "Mails to judge" not in json.dumps(again)


@pytest.mark.parametrize(("who", "role", "_way"), CAST, ids=[f"{r.name} {w}" for _, r, w in CAST])
def test_the_question_for_an_id_is_answered_to_those_who_may_look(
    office, slack, anna, who, role, _way
):
    mail = office.mail()
    message = anna.say(office.desk, "what about this one?")
    labeller = slack.person(WHO[Role.LABELLER, "user"])
    asking = office.opened(labeller, labeller.shortcut("label_mail", message))
    person = slack.person(who)
    shown = json.dumps(office.submitted(person, asking, {"query": mail}))
    assert (mail in shown) is (role >= Role.VIEWER)
    assert ("Sorry" in shown) is (role is Role.NOBODY)


def test_a_modal_that_someone_else_had_opened_labels_nothing(office, slack):
    """As if a role were taken away between opening the modal and sending it."""
    scene = Scene(office, slack.person(WHO[Role.LABELLER, "group"]), office.mail())
    view = scene.bulk_modal()
    before = everything(office)
    told = office.submitted(scene.person, view, {"verdict": "ham"})
    assert "`bulk label` needs the role trusted" in json.dumps(told)
    assert everything(office) == before


def test_members_of_the_channel_may_label_if_nobody_is_named(site, slack, anna, dora):
    slack.ask("conversations.kick", ADMIN_TOKEN, channel=slack.channel_id(DESK), user=dora.id)
    office = Office(site, slack)
    office.begin()
    mail = office.mail()
    assert "said *Spam*" in str(office.type(anna, f"spam {mail}").blocks)
    assert "needs the role labeller" in str(office.type(dora, f"spam {mail}").blocks)
    assert "needs the role admin" in str(office.type(anna, "retrain").blocks)
    assert office.rows(mail) == [("spam", anna.id, "given")]
    assert office.problems() == []
    office.end()
