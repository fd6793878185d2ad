"""The app manifest: valid, minimal, and enough for what the code asks of Slack."""

import ast
import itertools
import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator
from slack_sdk.web.async_client import AsyncWebClient

import bot
from bot.manifest import manifest_text

SCHEMA = Path(__file__).parents[1] / "slack_schema" / "manifest.schema.json"
URL = "https://bot.example/slack/events"
MODES = (("socket", None), ("http", URL))

# Method of Slack's Web API, as the SDK names it -> the bot scopes that its page asks for.
SCOPES = {
    "api_test": (),
    "apps_connections_open": (),  # by the app token
    "auth_test": (),
    "chat_delete": ("chat:write",),
    "chat_getPermalink": (),
    "chat_postEphemeral": ("chat:write",),
    "chat_postMessage": ("chat:write",),
    "chat_update": ("chat:write",),
    "conversations_history": ("channels:history", "groups:history"),
    "conversations_info": ("channels:read", "groups:read"),
    "conversations_members": ("channels:read", "groups:read"),
    "conversations_open": ("im:write",),
    "conversations_replies": ("channels:history", "groups:history"),
    "files_completeUploadExternal": ("files:write",),
    "files_delete": ("files:write",),
    "files_getUploadURLExternal": ("files:write",),
    "files_info": ("files:read",),
    "files_upload_v2": ("files:write",),
    "usergroups_users_list": ("usergroups:read",),
    "users_info": ("users:read",),
    "views_open": (),
    "views_publish": (),
    "views_push": (),
    "views_update": (),
}


def manifest(mode="socket", url=None):
    return yaml.safe_load(manifest_text(mode, url))


def scopes():
    return set(manifest()["oauth_config"]["scopes"]["bot"])


def called():
    """The methods of Slack's Web API that the bot calls, found in its source."""
    methods = {name for name in dir(AsyncWebClient) if "_" in name.strip("_")} - {"api_call"}
    found = set()
    for path in Path(bot.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in methods:
                found.add(node.attr)
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "api_call"
            ):
                found.add(ast.literal_eval(node.args[0]).replace(".", "_"))
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize(("mode", "url"), MODES)
def test_it_is_what_slack_documents(mode, url):
    schema = json.loads(SCHEMA.read_text())
    Draft7Validator.check_schema(schema)
    assert [
        error.message for error in Draft7Validator(schema).iter_errors(manifest(mode, url))
    ] == []


def test_every_scope_that_the_code_needs_is_asked_for():
    missing = {
        name: set(SCOPES[name]) - scopes() for name in called() if not set(SCOPES[name]) <= scopes()
    }
    assert missing == {}


def test_no_scope_is_asked_for_that_nothing_needs():
    needed = {scope for name in called() for scope in SCOPES[name]}
    assert scopes() - needed == {"commands"}


def test_every_scope_says_why():
    lines = [line.strip() for line in manifest_text("socket").splitlines()]
    listed = lines[lines.index("bot:") : lines.index("settings:")]
    for before, line in itertools.pairwise(listed):
        if line.startswith("- "):  # private channels share the reason of public ones
            assert before.startswith("#") or before == line.replace("groups:", "channels:"), line


def test_socket_mode_needs_no_address():
    text = manifest_text("socket")
    assert "url" not in text
    assert manifest()["settings"]["socket_mode_enabled"] is True


def test_over_http_every_request_goes_to_the_url():
    found = manifest("http", URL)
    assert found["settings"]["socket_mode_enabled"] is False
    assert found["features"]["slash_commands"][0]["url"] == URL
    assert found["settings"]["event_subscriptions"]["request_url"] == URL
    assert found["settings"]["interactivity"]["request_url"] == URL


def test_but_for_the_addresses_both_modes_are_one_app():
    socket, http = manifest(), manifest("http", URL)
    del http["features"]["slash_commands"][0]["url"]
    del http["settings"]["event_subscriptions"]["request_url"]
    del http["settings"]["interactivity"]["request_url"]
    http["settings"]["socket_mode_enabled"] = True
    assert http == socket


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (None, "needs the URL"),
        ("", "needs the URL"),
        ("http://bot.example/slack/events", "https://"),
        ("bot.example/slack/events", "https://"),
        ("https:///slack/events", "no host"),
        ("https://bot.example/a b", "characters"),
        ('https://bot.example/"\n- commands', "characters"),
        ("https://bot.example/é", "characters"),
        ("https://bot.example:port/", "port"),
        ("https://[bot.example/", "IPv6"),
        ("https://ann:word@bot.example/", "user"),
        ("https://bot.example/#here", "#"),
    ],
)
def test_a_url_that_slack_would_not_take_is_refused(url, says):
    with pytest.raises(ValueError, match="URL|https|host|characters|[Pp]ort|IPv6|user") as caught:
        manifest_text("http", url)
    assert says.lower() in str(caught.value).lower()


@pytest.mark.parametrize("url", ['https://bot.example/"', "https://bot.example/'x'?a=b:%20c"])
def test_quotes_in_a_url_stay_in_it(url):
    assert manifest("http", url)["features"]["slash_commands"][0]["url"] == url


def test_a_url_in_socket_mode_is_a_misunderstanding():
    with pytest.raises(ValueError, match="leave the URL out"):
        manifest_text("socket", URL)
