"""A folder as next hop: real files, readable by a real Maildir reader."""

import errno
import mailbox
import os
import stat

import pytest
from smtp_peers import relaying

from filterd.errors import NextHopError
from filterd.smtp import NextHopOptions, maildir, open_next_hop
from filterd.smtp.content import SLICE

MESSAGE = b"Subject: hello\r\n\r\nText.\r\n..\r\n"
END = b".\r\n"


async def send(client, sender="a@sender.example", parameters=""):
    await client.greet()
    assert (await client.say(f"MAIL FROM:<{sender}>{parameters}")).startswith(b"250 2.0.0 ")
    assert (await client.say("RCPT TO:<r0@hop.example>")).startswith(b"250 2.0.0 ")
    assert (await client.say("RCPT TO:<r1@hop.example>")).startswith(b"250 2.0.0 ")
    return await client.data(MESSAGE.replace(b"\r\n..", b"\r\n...") + END)


async def test_a_message_becomes_a_file_that_is_named_in_the_reply(tmp_path):
    path = tmp_path / "mail" / "box"
    async with relaying(f"maildir:{path}") as relay, relay.client() as client:
        reply = await send(client)
    (file,) = (path / "new").iterdir()
    assert reply == f"250 2.0.0 Message delivered as {file.name}\r\n".encode()
    assert file.read_bytes() == (
        b"Return-Path: <a@sender.example>\nDelivered-To: r0@hop.example\n"
        b"Delivered-To: r1@hop.example\nSubject: hello\n\nText.\n..\n"
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [stat.S_IMODE((path / name).stat().st_mode) for name in ("tmp", "new", "cur")] == [
        0o700
    ] * 3
    assert list((path / "tmp").iterdir()) == []
    (message,) = mailbox.Maildir(path)
    assert message["Subject"] == "hello"


async def test_messages_get_names_of_their_own(tmp_path):
    async with relaying(f"maildir:{tmp_path}/box") as relay, relay.client() as client:
        await send(client)
        for _ in range(4):
            await client.say("MAIL FROM:<>")
            await client.say("RCPT TO:<r@hop.example>")
            assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert len(list((tmp_path / "box" / "new").iterdir())) == 5


@pytest.mark.parametrize("shift", range(4))
async def test_a_line_end_where_two_slices_meet_is_one_lf(tmp_path, shift):
    message = b"Subject: x\r\n\r\n"
    message += b"x" * (SLICE - len(message) - shift) + b"\r\n\r\nend\r\n"
    limits = {"max_line_length": SLICE}
    async with (
        relaying(f"maildir:{tmp_path}/box", limits=limits) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.say("MAIL FROM:<>")
        await client.say("RCPT TO:<r@hop.example>")
        assert (await client.data(message + END)).startswith(b"250 ")
    (file,) = (tmp_path / "box/new").iterdir()
    assert file.read_bytes().endswith(message.replace(b"\r\n", b"\n"))


async def test_it_takes_what_a_file_can_hold(tmp_path):
    async with relaying(f"maildir:{tmp_path}/box") as relay, relay.client() as client:
        assert await client.greet() == (
            b"250-filter.example\r\n250-PIPELINING\r\n250-SIZE 10000000\r\n250-8BITMIME\r\n"
            b"250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n"
        )
        assert (await client.say("MAIL FROM:<jürgen@b.example> SMTPUTF8")).startswith(b"250 ")
        assert (await client.say("RCPT TO:<r@hop.example> NOTIFY=NEVER"))[:9] == b"555 5.5.4"
        assert (await client.say("RCPT TO:<用户@hop.example>")).startswith(b"250 ")
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    (file,) = (tmp_path / "box" / "new").iterdir()
    assert file.read_text().startswith(
        "Return-Path: <jürgen@b.example>\nDelivered-To: 用户@hop.example\n"
    )


async def test_a_reset_forgets_the_envelope(tmp_path):
    async with relaying(f"maildir:{tmp_path}/box") as relay, relay.client() as client:
        await client.greet()
        await client.say("MAIL FROM:<old@sender.example>")
        await client.say("RCPT TO:<old@hop.example>")
        assert (await client.say("RSET")).startswith(b"250 2.0.0 ")
        await client.say("MAIL FROM:<new@sender.example>")
        await client.say("RCPT TO:<new@hop.example>")
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    (file,) = (tmp_path / "box" / "new").iterdir()
    assert b"old" not in file.read_bytes()


@pytest.mark.parametrize(
    ("number", "reply"),
    [(errno.ENOSPC, b"452 4.3.1"), (errno.EDQUOT, b"452 4.3.1"), (errno.EIO, b"451 4.3.0")],
)
@pytest.mark.parametrize("step", ["fsync", "rename"])
async def test_trouble_with_the_disk_leaves_no_file(tmp_path, monkeypatch, number, reply, step):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    path = tmp_path / "box"
    async with relaying(f"maildir:{path}") as relay, relay.client() as client:
        await client.greet()
        await client.say("MAIL FROM:<a@sender.example>")
        await client.say("RCPT TO:<r@hop.example>")
        with monkeypatch.context() as patch:
            if step == "fsync":
                patch.setattr(maildir.os, "fsync", fail)
            else:
                patch.setattr(type(path), "rename", fail)
            assert (await client.data(MESSAGE + END))[:9] == reply
        assert list((path / "tmp").iterdir()) == list((path / "new").iterdir()) == []
        await client.say("MAIL FROM:<a@sender.example>")
        await client.say("RCPT TO:<r@hop.example>")
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")


async def test_a_folder_that_vanished_is_made_again(tmp_path):
    path = tmp_path / "box"
    async with relaying(f"maildir:{path}") as relay, relay.client() as client:
        await client.greet()
        for name in ("tmp", "new", "cur"):
            (path / name).rmdir()
        path.rmdir()
        await client.say("MAIL FROM:<a@sender.example>")
        await client.say("RCPT TO:<r@hop.example>")
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert len(list((path / "new").iterdir())) == 1


async def test_a_path_that_cannot_be_a_folder_is_an_error_at_start(tmp_path):
    (tmp_path / "box").write_text("not a folder")
    hop = open_next_hop(f"maildir:{tmp_path}/box", NextHopOptions(hostname="x.example"))
    with pytest.raises(NextHopError, match=r"^maildir:.*/box: (Not a directory|File exists)$"):
        await hop.capabilities()


async def test_a_path_that_cannot_be_written_later_means_451(tmp_path):
    path = tmp_path / "box"
    path.write_text("not a folder")
    async with relaying(f"maildir:{path}") as relay, relay.client() as client:
        await client.greet("HELO client.example")
        await client.say("MAIL FROM:<a@sender.example>")
        await client.say("RCPT TO:<r@hop.example>")
        assert (await client.data(MESSAGE + END))[:9] == b"451 4.3.0"
