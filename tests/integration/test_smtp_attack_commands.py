"""A hostile client and the commands: what is not plainly right reaches no next hop."""

import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from smtp_codes import assert_proper
from smtp_peers import EHLO, FakeNextHop, relaying

MESSAGE = b"Subject: hello\r\n\r\nText.\r\n"
END = b".\r\n"
ACCEPTED = b"250 2.0.0 Ok: queued as 4F00\r\n"
# Commands as a next hop may get them: printable, one address in one pair of brackets.
TIDY = re.compile(
    r"(?:EHLO filter\.example|RSET|DATA|QUIT|XFORWARD [!-~ ]+"
    r'|(?:MAIL FROM|RCPT TO):<(?:[^\x00-\x20<>"\x7f-\x9f]|"[^\x00-\x1f\x7f-\x9f]*")*>(?: [!-~]+)*)'
)

BAD_ADDRESSES = [
    b"<a@b.example",
    b"a@b.example>",
    b"<a@b.example>>",
    b"<<a@b.example>",
    b"<a@b.example> <c@d.example>",
    b"<a@b.example><c@d.example>",
    b"<a@b.example>, <c@d.example>",
    b"<a@b.example>\tSIZE=1",
    b"<a b@c.example>",
    b"<a\rb@c.example>",
    b"<a@b.example\r>",
    b"<a\x00@b.example>",
    b"<a@b.example\x00>",
    b"<a\x1b[2J@b.example>",
    b"<a\x7f@b.example>",
    b'<"a@b.example>',
    b'<"a"b"@c.example>',
    b'<"a\\"@b.example>',
    b"<a\\@b.example>",
    b'<"a\rb"@c.example>',
    b"<@b.example>",
    b"<@x.example:@y.example:a@b.example>",
    b"<@x.example,@y.example:>x",
    b"<" + b"a" * 400 + b"@b.example>",
    b"<" + b'"' + b"a" * 330 + b'"@b.example>',
    b"<a@" + b"b." * 200 + b"example>",
    "<ü@b.example>".encode(),
    b"<\xfc@b.example>",
    b"<a@b.example\xc2\x85>",
    b"<a\xe2\x80\xa8@b.example>",
    b"<\xed\xa0\x80@b.example>",
    b"<a@\xff.example>",
]


@pytest.mark.scenario(
    "A10",
    "32 wrong addresses at MAIL and at RCPT: raw CR and NUL, quotes, brackets, 8 bits, over-long, two at once",
    "each is refused 5xx with a status code; the next hop hears none of it; the session goes on",
)
@pytest.mark.parametrize("address", BAD_ADDRESSES, ids=repr)
async def test_a_wrong_address_goes_nowhere(address):
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        client.send(b"MAIL FROM:" + address + b"\r\n")
        reply = await client.reply()
        assert_proper(reply, to=b"MAIL")
        assert reply[:4] in {b"501 ", b"553 "}
        await client.envelope()
        client.send(b"RCPT TO:" + address + b"\r\n")
        reply = await client.reply()
        assert_proper(reply, to=b"RCPT")
        assert reply[:4] in {b"501 ", b"553 "}
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert hop.commands == [
        "EHLO filter.example",
        "MAIL FROM:<a@sender.example>",
        "RCPT TO:<r0@hop.example>",
        "DATA",
    ]


@pytest.mark.scenario(
    "A11",
    "source routes, quoted local parts with brackets and commands in them, the null sender",
    "the route is dropped, the rest arrives as one address; <> is a sender and no recipient",
)
async def test_odd_but_right_addresses_arrive_as_one():
    odd = {
        "<@x.example,@y.example:a@b.example>": "<a@b.example>",
        '<"a> RCPT TO:<b"@c.example>': '<"a> RCPT TO:<b"@c.example>',
        r'<"a\" <b"@c.example>': r'<"a\" <b"@c.example>',
        "<user%elsewhere.example@b.example>": "<user%elsewhere.example@b.example>",
        "<a!b@c.example>": "<a!b@c.example>",
        "<a@[IPv6:2001:db8::1]>": "<a@[IPv6:2001:db8::1]>",
        "<postmaster>": "<postmaster>",
    }
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        assert (await client.say("MAIL FROM:<>")).startswith(b"250 ")
        assert (await client.say("RCPT TO:<>"))[:9] == b"501 5.1.3"
        for address in odd:
            assert (await client.say(f"RCPT TO:{address}")).startswith(b"250 ")
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert hop.messages[0].mail == "MAIL FROM:<>"
    assert hop.messages[0].rcpts == [f"RCPT TO:{address}" for address in odd.values()]


@pytest.mark.scenario(
    "A12",
    "parameters that nobody offered, twice the same, without value, with values that lie or overflow",
    "refused 501, 552 or 555 with a status code; the next hop hears none of it",
)
@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("MAIL FROM:<a@b.example>", words)
        for words in (
            "AUTH=<>", "AUTH=", "BODY=BINARYMIME", "BODY", "BODY=8BITMIME BODY=7BIT", "SIZE=1 size=2",
            "SIZE", "SIZE=", "SIZE=-1", "SIZE=0x10", "SIZE=1e9", "SIZE=" + "9" * 400, "SIZE=99999999999",
            "SMTPUTF8=1", "SMTPUTF8 SMTPUTF8", "RET=FULL RET=HDRS", "=", "=x", "--", "X-UNKNOWN",
            "MT-PRIORITY=9", "REQUIRETLS", "HOLDFOR=60", "BY=100;R", "NOTIFY=NEVER", "FROM:<c@d.example>",
            "ENVID", "ENVID=\x00", "ENVID=ü", "RCPT TO:<c@d.example>",
        )
    ] + [
        ("RCPT TO:<a@b.example>", words)
        for words in (
            "NOTIFY=NEVER NOTIFY=NEVER", "NOTIFY", "ORCPT", "SIZE=1", "BODY=8BITMIME", "SMTPUTF8", "RET=FULL",
            "X-UNKNOWN=1", "=", "RRVS=2014-04-03T23:01:00Z", "ORCPT=rfc822;\x07", "DATA",
        )
    ],
)  # fmt: skip
async def test_a_wrong_parameter_goes_nowhere(command, parameters):
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        if command.startswith("RCPT"):
            await client.say("MAIL FROM:<a@sender.example>")
        reply = await client.say(f"{command} {parameters}")
        assert_proper(reply, to=b"MAIL")
        assert reply[:3] in {b"501", b"552", b"553", b"555"}
    assert all(parameters not in line for line in hop.commands)


LINE_TRICKS = [
    b"MAIL FROM:<a@b.example>\rRCPT TO:<victim@hop.example>\r\n",
    b"NOOP\rMAIL FROM:<evil@b.example>\r\n",
    b"NOOP\x00\r\nNOOP\r\n",
    b"RSET\r\r\n",
    b"EHLO x\rMAIL FROM:<evil@b.example>\r\n",
    b"HELO \x00\r\n",
    b"\rMAIL FROM:<evil@b.example>\r\n",
    b"\x00MAIL FROM:<evil@b.example>\r\n",
    b"\xef\xbb\xbfMAIL FROM:<evil@b.example>\r\n",
    b"MAIL\xc2\xa0FROM:<evil@b.example>\r\n",
    b" MAIL FROM:<evil@b.example>\r\n",
    b"MAIL\tFROM:<evil@b.example>\r\n",
    "ＭＡＩＬ FROM:<evil@b.example>\r\n".encode(),  # full-width letters
    "maıl FROM:<evil@b.example>\r\n".encode(),  # upper-cased it would be MAIL
    "rſet\r\n".encode(),  # and this RSET
]


@pytest.mark.scenario(
    "A13",
    "bare CR, NUL, BOM, look-alike letters and blanks in and before commands",
    "refused 5xx; the next hop hears nothing",
)
@pytest.mark.parametrize("mode", ["normalize", "reject"])
@pytest.mark.parametrize("line", LINE_TRICKS, ids=repr)
async def test_a_command_that_only_looks_like_one_is_none(line, mode):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"bare_newline": mode}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        client.send(line)
        reply = await client.reply()
        assert_proper(reply, to=b"MAIL")
        assert reply[:1] == b"5"
        client.send(b"QUIT\r\n")
        assert b"221 2.0.0 Bye\r\n" in await client.rest()
    assert hop.commands == ["EHLO filter.example"]


@pytest.mark.scenario(
    "A14",
    "commands that end in LF alone",
    "with normalize they are commands, each with its reply; with reject 500 5.5.2",
)
@pytest.mark.parametrize("mode", ["normalize", "reject"])
async def test_a_bare_newline_ends_a_command_or_spoils_it(mode):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"bare_newline": mode}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        client.send(b"MAIL FROM:<a@b.example>\nRCPT TO:<c@hop.example>\nNOOP\r\n")
        replies = [(await client.reply())[:9] for _ in range(3)]
        assert replies[2] == b"250 2.0.0"
        if mode == "reject":
            assert replies[:2] == [b"500 5.5.2"] * 2
            assert hop.commands == ["EHLO filter.example"]
        else:
            assert replies[:2] == [b"250 2.1.0", b"250 2.1.5"]


def garbage():
    word = st.sampled_from(
        [b"MAIL FROM:", b"RCPT TO:", b"<a@b.example>", b"<", b">", b"DATA", b"EHLO x", b"HELO", b"RSET",
         b"LHLO x", b"XFORWARD ADDR=1", b"STARTTLS", b"AUTH", b"BDAT 9 LAST", b" ", b"\t", b"\r", b"\x00",
         b"\xff", b"SIZE=1", b"NOOP", b"VRFY a", b"HELP", b"'", b'"', b"\\", b"x" * 600]
    )  # fmt: skip
    return st.one_of(st.lists(word, max_size=6).map(b"".join), st.binary(max_size=40))


@pytest.mark.scenario(
    "A15",
    "pipelines of garbage and half commands, made up by Hypothesis",
    "each line has one proper reply until 421; the next hop hears tidy commands only and gets no mail",
)
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(garbage(), min_size=1, max_size=30), st.sampled_from(["normalize", "reject"]))
async def test_garbage_in_a_pipeline_is_answered_and_forgotten(lines, mode):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"bare_newline": mode}) as relay,
        relay.client() as client,
    ):
        await client.reply()
        client.send(b"\r\n".join([*lines, b"QUIT", b""]))
        replies = []
        while reply := await client.reply():
            replies.append(reply)
        for reply in replies:
            assert_proper(reply)
        assert replies[-1][:3] in {b"221", b"421", b"502", b"503"} or b"354 " in replies[-1]
        sent = b"\r\n".join([*lines, b"QUIT", b""]).count(b"\n")
        assert len(replies) <= sent + 1
    assert [line for line in hop.commands if not TIDY.fullmatch(line)] == []
    assert hop.messages == relay.examiner.messages == []


@pytest.mark.scenario(
    "A16",
    "10,000 times RSET in one go, and MAIL with RSET in turns",
    "421 4.7.0 after 100; the next hop is spared the rest",
)
@pytest.mark.parametrize("storm", [b"RSET\r\n", b"MAIL FROM:<a@b.example>\r\nRSET\r\n"])
async def test_a_storm_of_resets_is_ended(storm):
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        client.send(storm * 10_000)
        replies = Counter()
        while reply := await _reply_if_any(client):
            assert_proper(reply)
            replies[reply[:9]] += 1
        assert replies.pop(b"421 4.7.0", 0) <= 1  # a reset by the kernel may take the last word
        assert sum(replies.values()) <= 200
        assert (await _verdict_of_a_mail(relay)) == ACCEPTED
    assert hop.commands.count("RSET") <= 101
    assert len(hop.messages) == 1


@pytest.mark.scenario(
    "A17",
    "HELO and EHLO again and again, before, within and after a transaction, with other names",
    "each begins anew; the open transaction is gone; the last name counts",
)
async def test_a_second_hello_begins_anew():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        for number, hello in enumerate(("HELO", "EHLO", "HELO", "EHLO")):
            await client.envelope()
            assert (await client.say(f"{hello} again{number}.example")).startswith(b"250")
            for late in ("RCPT TO:<r@hop.example>", "DATA"):
                assert (await client.say(late))[:9] == b"503 5.5.1"
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert len(hop.messages) == 1
    assert relay.examiner.envelopes[0].helo == "again3.example"


@pytest.mark.scenario(
    "A18",
    "recipients without end: 10 allowed, 10,000 sent",
    "10 are taken, 10 told 452 4.5.3, then 421; a client that stops in time gets its mail through",
)
async def test_recipients_without_end_are_ended():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"max_recipients": 10}) as relay,
        relay.client() as patient,
        relay.client() as client,
    ):
        await patient.greet()
        await patient.envelope(10)
        for number in range(10):
            assert (await patient.say(f"RCPT TO:<late{number}@hop.example>"))[:9] == b"452 4.5.3"
        assert await patient.data(MESSAGE + END) == ACCEPTED
        await client.greet()
        await client.envelope(10)
        client.send(b"RCPT TO:<one@hop.example>\r\n" * 10_000)
        replies = Counter()
        while reply := await _reply_if_any(client):
            replies[reply[:9]] += 1
        assert replies[b"452 4.5.3"] <= 20
        assert replies[b"421 4.7.0"] <= 1
    assert len([line for line in hop.commands if line.startswith("RCPT")]) == 20
    assert len(hop.messages) == 1


@pytest.mark.scenario(
    "A19",
    "BDAT, whose content would look like commands",
    "502 5.5.1 and the end of the session; nothing of the content is obeyed",
)
async def test_the_content_of_bdat_is_never_obeyed():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert b"CHUNKING" not in await client.greet()
        await client.envelope()
        client.send(
            b"BDAT 60 LAST\r\nRSET\r\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<v@h.example>\r\n"
        )
        assert (await client.reply())[:9] == b"502 5.5.1"
        assert await client.rest() == b""
        await hop.saw("disconnect")
    assert not [line for line in hop.commands if "evil" in line]
    assert hop.messages == []


@pytest.mark.scenario(
    "A20",
    "XFORWARD without end, from a trusted peer",
    "10 are kept, then 503 5.5.1 and 421: memory stays bounded",
)
async def test_xforward_without_end_is_ended():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        replies = [await client.say("XFORWARD ADDR=192.0.2.7") for _ in range(20)]
        assert [reply[:3] for reply in replies] == [b"250"] * 10 + [b"503"] * 10
        assert (await client.reply())[:9] == b"421 4.7.0"
    assert len([line for line in hop.commands if line.startswith("XFORWARD")]) == 10


@pytest.mark.scenario(
    "A21",
    "every command in every state, right and wrong",
    "each reply but greeting, HELO, EHLO and 354 has a status code (RFC 3463) of its class",
)
async def test_replies_carry_status_codes():
    lines = [
        "HELO", "EHLO", "LHLO", "MAIL", "RCPT", "DATA", "DATA x", "RSET", "RSET x", "NOOP", "NOOP x", "VRFY", "VRFY a",
        "EXPN", "EXPN a", "HELP", "HELP x", "AUTH", "AUTH PLAIN x", "STARTTLS", "STARTTLS x", "XFORWARD", "XFORWARD A=1",
        "ETRN x", "TURN", "SEND", "", "x" * 600, "MAIL FROM:<a@b.example> SIZE=99999999999", "MAIL FROM:<ü@b.example>",
        "RCPT TO:<ü@b.example>", "BDAT 1", "QUIT", "QUIT x",
    ]  # fmt: skip
    states = [
        [], ["EHLO x"], ["HELO x"], ["LHLO x"], ["EHLO x", "MAIL FROM:<a@b.example>"],
        ["EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<r@hop.example>"],
    ]  # fmt: skip
    plain = EHLO.replace(b"250-SMTPUTF8\r\n", b"")
    async with FakeNextHop({"EHLO": plain}) as hop, relaying(hop.url) as relay:
        for state in states:
            for line in lines:
                async with relay.client() as client:
                    assert_proper(await client.reply())
                    for step in [*state, line]:
                        assert_proper(await client.say(step), to=step.encode())
    assert hop.messages == []


async def _reply_if_any(client):
    """The next reply; b"" at the end, also when the kernel cut it short for what was left unread."""
    try:
        return await client.reply()
    except ConnectionResetError:
        return b""


async def _verdict_of_a_mail(relay):
    """The reply to a mail of somebody else."""
    async with relay.client() as other:
        await other.greet()
        await other.envelope()
        return await other.data(MESSAGE + END)
