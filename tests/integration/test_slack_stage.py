"""The stage itself: the clients of Slack's own SDK and a Bolt app cannot tell it from Slack."""

import asyncio
import time

import aiohttp
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook import WebhookClient
from slack_stage import Origin, Slack, together
from slack_stage.sample_bot import CARD, LIST, SampleBot, form
from slack_stage.signing import signature_headers

pytest_plugins = ("slack_fixtures",)


@pytest.fixture
def client(slack):
    return WebClient(slack.bot_token, base_url=slack.api_url, retry_handlers=[])


@pytest.fixture
def bot(slack):
    with SampleBot(slack) as bot:
        yield bot


@pytest.fixture(params=["http", "socket"])
def by(request, bot):
    """Each way in which Slack reaches an app."""
    if request.param == "socket":
        bot.connect()
    return request.param


@pytest.fixture
def card(slack, desk):
    """A card of the bot in the desk's channel."""
    return posted(slack, desk, text="a card", blocks=CARD)


def posted(slack, channel, **message):
    ts = slack.ask("chat.postMessage", channel=channel, **message)["ts"]
    return next(each for each in slack.thread(channel, ts) if each["ts"] == ts)


def current(slack, message):
    """The message as it stands now."""
    return slack.thread(message["channel"], message["ts"])[0]


# The Web API


async def test_an_async_client_posts_and_the_channel_has_it(slack, desk):
    client = AsyncWebClient(slack.bot_token, base_url=slack.api_url)
    answer = await client.chat_postMessage(channel=desk, text="hello", blocks=CARD)
    (message,) = [each for each in slack.messages(desk) if each["ts"] == answer["ts"]]
    assert (message["text"], message["blocks"], message["user"]) == ("hello", CARD, slack.bot_user)


def test_a_call_is_recorded_with_its_arguments_decoded(slack, client, desk):
    before = time.monotonic()
    # As a form, where blocks are JSON text; the SDK's own methods send JSON.
    client.api_call("chat.postMessage", data={"channel": desk, "text": "x", "blocks": "[]"})
    client.chat_postMessage(channel=desk, text="[not JSON", blocks=CARD)
    first, second = slack.calls("chat.postMessage")
    assert first.arguments == {"channel": desk, "text": "x", "blocks": []}
    assert second.arguments == {"channel": desk, "text": "[not JSON", "blocks": CARD}
    assert second.answer["ok"]
    assert before < first.at < second.at < time.monotonic()
    assert slack.calls() == [first, second]
    slack.clear()
    assert slack.calls() == []


def test_arguments_in_the_query_count_too(slack, client):
    answer = client.users_info(user=slack.user_id("anna"))
    assert answer["user"]["name"] == "anna"
    assert client.api_call("users.info", http_verb="GET", params={"user": slack.user_id("ben")})


def test_the_bot_knows_itself_and_its_team(slack, client):
    who = client.auth_test()
    assert (who["user_id"], who["bot_id"], who["team_id"]) == (
        slack.bot_user,
        slack.bot_id,
        slack.team_id,
    )


def test_long_channels_come_whole_and_oldest_first(slack, desk):
    for number in range(205):
        slack.ask("chat.postMessage", channel="random", text=f"message {number}")
    texts = [message["text"] for message in slack.messages("random")]
    assert texts[-205:] == [f"message {number}" for number in range(205)]


def test_a_thread_holds_its_replies(slack, client, card, desk):
    client.chat_postMessage(channel=desk, text="a reply", thread_ts=card["ts"])
    assert [each["text"] for each in slack.thread("mail-desk", card["ts"])] == ["a card", "a reply"]
    assert "a reply" not in [each["text"] for each in slack.messages(desk)]


@pytest.mark.parametrize(
    ("token", "error"),
    [(None, "not_authed"), ("xoxb-other", "invalid_auth"), ("xapp-1", "not_allowed_token_type")],
)
def test_only_the_bots_token_is_taken(slack, token, error):
    with pytest.raises(SlackApiError, match=error):
        WebClient(token, base_url=slack.api_url).auth_test()


def test_a_method_slack_does_not_know_is_refused(client):
    with pytest.raises(SlackApiError, match="unknown_method"):
        client.api_call("mail.filter")


async def test_a_file_is_uploaded_shown_and_read_back(slack, desk):
    client = AsyncWebClient(slack.bot_token, base_url=slack.api_url)
    done = await client.files_upload_v2(
        channel=desk, filename="week.png", content=b"\x89PNG\x00\xff" * 500_000, title="The week"
    )
    (message,) = [each for each in slack.messages(desk) if each.get("files")]
    assert [file["title"] for file in message["files"]] == ["The week"]
    assert message["files"][0]["size"] == 3_000_000
    assert done["file"]["url_private"].startswith(slack.url)
    methods = [call.method for call in slack.calls()]
    assert methods == ["files.getUploadURLExternal", "files.completeUploadExternal"]


def test_user_groups_are_as_the_test_says(slack, client, anna):
    slack.groups["S1"] = [anna.id]
    assert client.usergroups_users_list(usergroup="S1")["users"] == [anna.id]
    with pytest.raises(SlackApiError, match="no_such_subteam"):
        client.usergroups_users_list(usergroup="S2")


def test_a_scope_the_bot_lacks_is_missed():
    with Slack(scopes=("chat:write", "channels:read", "channels:join", "im:write")) as slack:
        client = WebClient(slack.bot_token, base_url=slack.api_url)
        for call in (client.users_list, lambda: client.usergroups_users_list(usergroup="S1")):
            with pytest.raises(SlackApiError, match="missing_scope"):
                call()


def test_an_ephemeral_post_is_seen_by_one_person(slack, client, anna, ben, desk):
    client.chat_postEphemeral(channel=desk, user=anna.id, text="psst", blocks=CARD)
    (seen,) = slack.ephemerals(anna)
    assert (seen.text, seen.channel, seen.blocks) == ("psst", desk, CARD)
    assert slack.ephemerals(ben) == []


# Faults


def test_a_rate_limit_is_a_429_that_says_how_long(slack, client, desk):
    slack.rate_limit("chat.postMessage", 3, times=2)
    for _ in range(2):
        with pytest.raises(SlackApiError) as refused:
            client.chat_postMessage(channel=desk, text="x")
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["Retry-After"] == "3"
        assert refused.value.response["error"] == "ratelimited"
    assert client.auth_test()["ok"]
    assert client.chat_postMessage(channel=desk, text="x")["ok"]


def test_an_error_is_given_as_often_as_asked(slack, client, desk):
    before = len(slack.messages(desk))
    slack.fail("chat.postMessage", "channel_is_archived")
    with pytest.raises(SlackApiError, match="channel_is_archived"):
        client.chat_postMessage(channel=desk, text="x")
    assert client.chat_postMessage(channel=desk, text="x")["ok"]
    assert len(slack.messages(desk)) == before + 1


def test_a_delayed_method_is_slow_until_the_delay_ends(slack, client):
    slack.delay("auth.test", 0.3)
    start = time.monotonic()
    client.auth_test()
    assert time.monotonic() - start >= 0.3
    slack.delay("auth.test", 60)
    slack.delay("auth.test", 0)
    assert client.auth_test()["ok"]


def test_while_down_no_answer_comes_and_nothing_changes(slack, client, desk, anna):
    before = len(slack.messages(desk))
    slack.go_down()
    with pytest.raises(OSError, match="closed connection"):
        client.chat_postMessage(channel=desk, text="x")
    url = slack.new_response_url(Origin(anna.id, desk))
    with pytest.raises(OSError, match="closed connection"):
        WebhookClient(url, retry_handlers=[]).send(text="x")
    assert [call.method for call in slack.unanswered] == ["chat.postMessage"]
    assert (slack.calls(), slack.responses) == ([], [])
    slack.come_back()
    assert client.chat_postMessage(channel=desk, text="x")["ok"]
    assert len(slack.messages(desk)) == before + 1


# Signatures


def test_what_slack_signs_slacks_own_verifier_believes(slack):
    now = int(time.time())
    headers = signature_headers(slack.signing_secret, now, "text=ä".encode())
    assert SignatureVerifier(slack.signing_secret).is_valid_request("text=ä".encode(), headers)
    assert not SignatureVerifier("other").is_valid_request("text=ä".encode(), headers)


@pytest.mark.parametrize("wrong", [{"secret": "other"}, {"secret": None}, {"age": 600}])
def test_an_app_refuses_what_is_not_signed_now_by_slack(slack, bot, anna, card, wrong):
    payload = anna.click(card, "take")
    assert slack.send(payload, **wrong).status == 401
    assert slack.send(payload).status == 200


def test_the_url_is_verified_by_a_challenge(slack, bot):
    challenge = {"type": "url_verification", "challenge": "abc", "token": "x"}
    assert slack.deliver("events_api", challenge).body == {"challenge": "abc"}


# Clicks, commands, forms: by HTTP and through sockets


def test_a_click_reaches_the_app_and_its_answer_replaces_the_message(slack, by, anna, card):
    delivery = slack.send(anna.click(card, "take"), by=by)
    assert (delivery.status, delivery.body, delivery.error) == (200, {}, "")
    assert 0 < delivery.seconds < 3
    response = slack.wait_for_response()
    assert response.body["replace_original"] is True
    assert current(slack, card)["text"] == f"taken by <@{anna.id}>"


def test_a_private_answer_leaves_the_message_and_can_be_clicked(slack, by, anna, card):
    slack.send(anna.click(card, "why"), by=by)
    slack.wait_for_response()
    (seen,) = slack.ephemerals(anna)
    assert (seen.text, seen.replaces) == ("because", None)
    slack.send(anna.click(seen, "take"), by=by)
    slack.wait_for_response(2)
    assert [each.replaces for each in slack.ephemerals(anna)] == [None, seen.ts]
    assert slack.calls("chat.update") == []
    assert current(slack, card)["text"] == "a card"


def test_an_answer_for_all_is_a_message_and_a_deleted_one_is_gone(slack, by, anna, card, desk):
    slack.send(anna.click(card, "post"), by=by)
    slack.wait_for_response(1)
    assert slack.messages(desk)[-1]["text"] == "for all"
    slack.send(anna.click(card, "remove"), by=by)
    slack.wait_for_response(2)
    assert card["ts"] not in [each["ts"] for each in slack.messages(desk)]


def test_a_command_is_answered_to_who_gave_it(slack, by, anna, ben):
    delivery = slack.send(anna.slash("random", "stats now"), by=by)
    assert delivery.body == {"text": "you said stats now"}
    (seen,) = slack.ephemerals(anna)
    assert (seen.text, seen.channel) == ("you said stats now", slack.channel_id("random"))
    assert slack.ephemerals(ben) == []


def test_a_modal_is_opened_pushed_upon_filled_and_updated(slack, by, anna, ben, card):
    slack.send(anna.click(card, "look"), by=by)
    slack.wait_for_call("views.open")
    (opened,) = slack.views(anna)
    assert opened["private_metadata"] == "mail 7"
    slack.send(anna.click(opened, "deeper"), by=by)
    slack.wait_for_call("views.push")
    pushed = slack.views(anna)[-1]
    assert pushed["previous_view_id"] == opened["id"]
    wrong = slack.send(anna.submit(pushed, {"word": "wrong"}), by=by)
    assert wrong.body["response_action"] == "errors"
    slack.send(anna.submit(pushed, {"word": "ham", "mood": "good"}), by=by)
    updated = slack.views(anna)[-1]
    assert (updated["id"], updated["title"]["text"]) == (pushed["id"], "Got ham")
    assert updated["hash"] != pushed["hash"]
    assert slack.views(ben) == []


def test_a_home_tab_is_published_and_clicked(slack, by, carla):
    payload = carla.home_opened()
    assert payload["event_id"].startswith("Ev")
    assert slack.send(payload, by=by).ok
    slack.wait_for_call("views.publish")
    home = slack.home(carla)
    assert home["blocks"] == LIST
    click = carla.click(home, "open", value="2")
    assert click["actions"][0]["block_id"] == "row:2"
    assert click["view"]["type"] == "home"


def test_a_shortcut_brings_the_message_it_was_chosen_on(slack, by, anna, ben):
    message = ben.say("random", "is this spam?")
    slack.send(anna.shortcut("explain", message), by=by)
    slack.wait_for_response()
    assert slack.ephemerals(anna)[-1].text == "you chose is this spam?"


def test_twenty_people_click_at_once(slack, by, crowd, card):
    start = time.monotonic()
    deliveries = together(
        *(lambda person=person: slack.send(person.click(card, "look"), by=by) for person in crowd)
    )
    assert all(delivery.ok for delivery in deliveries)
    slack.wait_for_call("views.open", count=20)
    assert sorted(len(slack.views(person)) for person in crowd) == [1] * 20
    assert time.monotonic() - start < 10


def test_a_repetition_says_so(slack, bot, anna):
    bot.connect()
    assert slack.send(anna.home_opened(), retry=1, retry_reason="http_timeout").ok
    assert slack.send(anna.home_opened(), by="socket", retry=2).ok
    assert bot.retries == [("1", "http_timeout"), ("2", "timeout")]


# Triggers and response_urls


def test_a_trigger_opens_one_view_in_its_three_seconds(slack, client, anna):
    with pytest.raises(SlackApiError, match="invalid_trigger_id"):
        client.views_open(trigger_id="1.2.3", view=form())
    trigger = slack.new_trigger(anna.id)
    client.views_open(trigger_id=trigger, view=form())
    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        client.views_open(trigger_id=trigger, view=form())


def test_a_trigger_is_late_after_its_time(slack, bot, client, anna, card):
    slack.trigger_seconds = -1
    payload = anna.click(card, "why")
    slack.send(payload)
    with pytest.raises(SlackApiError, match="expired_trigger_id"):
        client.views_open(trigger_id=payload["trigger_id"], view=form())


def test_a_view_that_has_changed_meanwhile_is_not_overwritten(slack, client, anna):
    view = client.views_open(trigger_id=slack.new_trigger(anna.id), view=form())["view"]
    client.views_update(view_id=view["id"], hash=view["hash"], view=form("Second"))
    with pytest.raises(SlackApiError, match="hash_conflict"):
        client.views_update(view_id=view["id"], hash=view["hash"], view=form("Third"))
    assert [each["title"]["text"] for each in slack.views(anna)] == ["Form", "Second"]


def test_a_response_url_takes_five_answers(slack, anna, desk):
    webhook = WebhookClient(slack.new_response_url(Origin(anna.id, desk)))
    assert [webhook.send(text="x").status_code for _ in range(6)] == [200] * 5 + [404]
    refused = webhook.send(text="x")
    assert (refused.status_code, refused.body) == (404, '{"ok": false, "error": "used_url"}')
    assert len(slack.responses) == 5


def test_faults_strike_response_urls_too(slack, anna, desk):
    webhook = WebhookClient(slack.new_response_url(Origin(anna.id, desk)), retry_handlers=[])
    slack.rate_limit("response_url", 2)
    assert webhook.send(text="x").status_code == 429
    slack.fail("response_url", "server_error")
    assert webhook.send(text="x").status_code == 500
    assert webhook.send(text="x").status_code == 200


# What payloads hold


def test_a_click_on_a_message_holds_all_that_slack_sends(slack, anna, card, desk):
    click = anna.click(card, "take")
    assert click["type"] == "block_actions"
    assert click["user"] == {
        "id": anna.id,
        "name": "anna",
        "username": "anna",
        "team_id": slack.team_id,
    }
    assert click["container"] == {
        "type": "message",
        "message_ts": card["ts"],
        "channel_id": desk,
        "is_ephemeral": False,
    }
    assert click["channel"] == {"id": desk, "name": "mail-desk"}
    assert click["message"]["blocks"] == CARD
    assert "channel" not in click["message"]
    assert click["message"]["bot_id"] == slack.bot_id
    (action,) = click["actions"]
    assert float(action.pop("action_ts")) == pytest.approx(time.time(), abs=60)
    assert action == {
        "type": "button",
        "action_id": "take",
        "block_id": "mail:7",
        "value": "7",
        "text": {"type": "plain_text", "text": "take", "emoji": True},
    }


def test_a_choice_in_a_menu_holds_the_option(anna, card):
    click = anna.click(card, "mood", chosen="good")
    assert click["actions"][0]["selected_option"]["value"] == "good"
    assert click["state"]["values"]["mail:7"]["mood"]["selected_option"]["value"] == "good"


def test_a_click_on_a_private_message_holds_no_message(slack, client, anna, desk):
    client.chat_postEphemeral(channel=desk, user=anna.id, text="psst", blocks=CARD)
    click = anna.click(slack.ephemerals(anna)[0], "take")
    assert "message" not in click
    assert click["container"]["is_ephemeral"] is True


def test_two_clicks_share_neither_trigger_nor_response_url(anna, card):
    first, second = anna.click(card, "take"), anna.click(card, "take")
    assert first["trigger_id"] != second["trigger_id"]
    assert first["response_url"] != second["response_url"]


def test_a_form_holds_what_was_filled_in_and_what_it_began_with(slack, client, anna):
    view = client.views_open(trigger_id=slack.new_trigger(anna.id), view=form())["view"]
    sent = anna.submit(view, {"word": "ham"})
    assert sent["view"]["callback_id"] == "form"
    assert sent["view"]["private_metadata"] == "mail 7"
    values = sent["view"]["state"]["values"]
    assert values["input"]["word"] == {"type": "plain_text_input", "value": "ham"}
    assert values["b1"]["mood"]["selected_option"]["value"] == "bad"


def test_nobody_clicks_what_is_not_there(anna, card):
    with pytest.raises(AssertionError, match="0 elements 'undo'"):
        anna.click(card, "undo")
    with pytest.raises(AssertionError, match="offers"):
        anna.click(card, "mood", chosen="sad")


# Socket Mode


def test_a_socket_needs_an_app_token_and_a_ticket_is_used_once(slack, client):
    with pytest.raises(SlackApiError, match="not_allowed_token_type"):
        client.apps_connections_open(app_token=slack.bot_token)
    with pytest.raises(SlackApiError, match="invalid_auth"):
        client.apps_connections_open(app_token="xapp-other")
    opened = client.apps_connections_open(app_token=slack.app_token)
    assert opened["url"].startswith("ws://127.0.0.1:")
    assert asyncio.run(connects_twice(opened["url"])) == ["hello", 403]


async def connects_twice(url):
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            hello = await socket.receive_json(timeout=10)
        try:
            await session.ws_connect(url)
        except aiohttp.WSServerHandshakeError as error:
            return [hello["type"], error.status]


def test_sockets_take_turns(slack, bot, anna):
    for _ in range(3):
        bot.connect()
    assert slack.socket_count == 3
    for _ in range(6):
        assert slack.send(anna.slash("random", "hello"), by="socket").ok
    assert len(slack.acks) == 6
    assert len({ack.envelope_id for ack in slack.acks}) == 6


def test_a_socket_that_was_dismissed_comes_back(slack, bot, anna):
    bot.connect()
    slack.disconnect_sockets()
    slack.wait_until(lambda: len(slack.calls("apps.connections.open")) >= 2, "a new ticket")
    slack.wait_until(
        lambda: slack.send(anna.slash("random", "hello"), by="socket").ok, "a working socket"
    )


def test_sockets_come_back_with_slack(slack, bot, anna):
    bot.connect()
    slack.go_down()
    assert slack.socket_count == 0
    gone = slack.send(anna.slash("random", "hello"), by="socket")
    assert (gone.ok, gone.error) == (False, "no socket is connected")
    slack.come_back()
    slack.wait_until(
        lambda: slack.send(anna.slash("random", "hello"), by="socket").ok, "a working socket"
    )


def test_a_bot_that_is_not_there_is_no_answer(slack, anna):
    slack.bot_url = "http://127.0.0.1:9/slack/events"
    delivery = slack.send(anna.slash("random", "hello"))
    assert (delivery.status, delivery.ok) == (0, False)
    assert "refused" in delivery.error


# Where no emulator is


def test_without_the_emulator_tests_are_skipped_but_not_in_ci(monkeypatch, tmp_path):
    from slack_stage import emulator

    monkeypatch.setattr(emulator, "PACKAGE", tmp_path)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Slack emulator not installed: make slack"):
        emulator.emulator_entry()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Slack emulator not installed: make slack"):
        emulator.emulator_entry()


def test_the_emulator_ends_with_the_stage():
    with Slack() as slack:
        process = slack._emulator._process
        folder = slack._folder
    assert process.poll() is not None
    assert not folder.exists()
