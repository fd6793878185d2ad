"""The bot's and the trainer's settings: their table of the common file, tokens, who may do what."""

import pytest

from bot.access import Role
from bot.settings import BotSettings, read_tokens, rules
from filterd.errors import SettingsError
from filterd.settings import load_settings, load_table
from trainer.settings import TrainerSettings

CHANNEL = "C0123456789"


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "filterd.toml"
        path.write_text(text)
        return path

    return write


def bot(**changes):
    return BotSettings(**{"channel": CHANNEL, **changes})


def test_each_process_reads_its_own_table_of_one_file(file):
    path = file(f'workers = 2\n[bot]\nchannel = "{CHANNEL}"\n[trainer]\nmin_labels = 5\n')
    assert load_settings(path, {}).workers == 2
    assert load_table(BotSettings, "bot", path, {}).channel == CHANNEL
    assert load_table(TrainerSettings, "trainer", path, {}).min_labels == 5


def test_the_environment_wins_over_the_file(file, monkeypatch):
    monkeypatch.setenv("FILTERD_BOT_CARDS", "all")
    monkeypatch.setenv("FILTERD_BOT_ADMINS", "U0ANNA000, S0DESK000")
    path = file(f'[bot]\nchannel = "{CHANNEL}"\ncards = "none"\n')
    found = load_table(BotSettings, "bot", path)
    assert (found.cards, found.admins) == ("all", ("U0ANNA000", "S0DESK000"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[bot]\n", "the bot needs `channel`"),
        ('[bot]\nchannel = "mail-desk"\n', "'channel': is no channel id"),
        (f'[bot]\nchannel = "{CHANNEL}"\ncard = "all"\n', "unknown setting 'card' (did you mean 'cards'?)"),
        (f'[bot]\nchannel = "{CHANNEL}"\nadmins = ["anna"]\n', "'anna' is no Slack id"),
        (f'[bot]\nchannel = "{CHANNEL}"\ntimezone = "Mars"\n', "is no time zone"),
        ('bot = "C0123456789"\n', "'bot' must be a table"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_file_and_key(file, text, said):
    path = file(text)
    with pytest.raises(SettingsError) as raised:
        load_table(BotSettings, "bot", path, {})
    assert said in str(raised.value)
    assert str(path) in str(raised.value)


def test_an_unknown_variable_of_the_bot_is_named(file):
    path = file(f'[bot]\nchannel = "{CHANNEL}"\n')
    with pytest.raises(SettingsError, match="FILTERD_BOT_CHANEL .*FILTERD_BOT_CHANNEL"):
        load_table(BotSettings, "bot", path, {"FILTERD_BOT_CHANEL": "x"})
    # To the daemon the bot's variables are foreign.
    load_settings(path, {"FILTERD_BOT_CHANEL": "x"})


def test_tokens_come_from_files_or_variables_and_are_never_shown(tmp_path):
    (tmp_path / "token").write_text("xoxb-secret\n")
    found = read_tokens(bot(bot_token_file=tmp_path / "token"), {"SLACK_APP_TOKEN": "xapp-1"})
    assert found.bot.get_secret_value() == "xoxb-secret"
    assert "secret" not in f"{found.bot!r} {found.bot}"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "SLACK_BOT_TOKEN: not set"),
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN: not set"),
        ({"SLACK_BOT_TOKEN": "xapp-1"}, "SLACK_BOT_TOKEN: is another kind of token"),
    ],
)
def test_a_missing_or_wrong_token_is_named_but_not_quoted(environment, said):
    with pytest.raises(SettingsError, match=said) as raised:
        read_tokens(bot(), environment)
    assert not any(token in str(raised.value) for token in environment.values())


def test_http_needs_the_signing_secret_instead():
    with pytest.raises(SettingsError, match="SLACK_SIGNING_SECRET: not set"):
        read_tokens(bot(mode="http"), {"SLACK_BOT_TOKEN": "xoxb-1"})


def test_nobody_named_means_that_the_channel_may_label_and_nobody_is_admin():
    assert rules(bot()).role("U1", [], [CHANNEL]) is Role.LABELLER
    assert rules(bot()).role("U1", [], []) is Role.NOBODY
    named = rules(bot(admins=("U0ANNA000",)))
    assert named.role("U0ANNA000", [], []) is Role.ADMIN
    assert named.role("U1", [], [CHANNEL]) is Role.NOBODY
