"""Who is told to come again, and at which verb; who leaves nothing behind."""

import asyncio
import socket

import pytest
from smtp_peers import FakeNextHop, RawClient, relaying

PATIENCE = 20.0


class OtherClient(RawClient):
    """The same from another address."""

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=("127.0.0.2", 0)
        )
        return self


async def until(holds):
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  # the server has no event to tell of it
            await asyncio.sleep(0.01)


@pytest.mark.scenario(
    "L07",
    "300 clients connect and leave at once, as port scanners and health checks do",
    "no connection and no descriptor is left of them",
)
async def test_who_connects_and_leaves_at_once_leaves_nothing_behind():
    async with FakeNextHop() as hop, relaying(hop.url) as relay:
        # Blocking, so that the end is there before the server has said a word.
        for _ in range(6):
            for _ in range(50):
                socket.create_connection(("127.0.0.1", relay.port)).close()
            await until(lambda: relay.server.connections == 0)
        async with relay.client() as client:
            await client.greet()
            assert relay.server.connections == 1


@pytest.mark.scenario(
    "L09",
    "one client opens more connections than max_connections_per_client",
    "it is told 421 4.7.0; others are served; it is heard again when one of its own has ended",
)
async def test_a_client_has_no_more_than_its_share_of_the_connections():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, max_connections_per_client=2) as relay,
        relay.client() as first,
        relay.client() as second,
    ):
        await first.greet()
        await second.greet()
        async with relay.client() as third:
            assert (await third.reply())[:9] == b"421 4.7.0"
            assert await third.rest() == b""
        async with OtherClient(relay.port) as other:
            await other.greet()
        assert await first.say("QUIT") == b"221 2.0.0 Bye\r\n"
        assert await first.rest() == b""
        async with relay.client() as third:
            await third.greet()


async def test_mail_that_there_is_no_time_for_is_refused_before_the_next_hop_hears_of_it():
    is_free = False
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, may_begin=lambda: is_free) as relay,
        relay.client() as client,
    ):
        await client.greet()
        commands = len(hop.commands)
        assert (await client.say("MAIL FROM:<a@sender.example>"))[:9] == b"451 4.3.2"
        assert len(hop.commands) == commands
        is_free = True
        await client.envelope()
        assert (await client.data(b"Subject: a\r\n\r\nb\r\n.\r\n"))[:3] == b"250"


async def test_who_asks_again_and_again_without_a_pause_is_sent_away():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, may_begin=lambda: False) as relay,
        relay.client() as client,
    ):
        await client.greet()
        client.send(b"MAIL FROM:<a@sender.example>\r\n" * 200)
        said = (await client.rest()).splitlines()
        assert {line[:9] for line in said[:-1]} == {b"451 4.3.2"}
        assert said[-1][:9] == b"421 4.7.0"
        assert len(said) <= 101


async def test_clients_are_told_at_connect_where_hearing_them_takes_too_much_time():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, may_connect=lambda connections: connections < 1) as relay,
        relay.client() as first,
    ):
        await first.greet()
        async with relay.client() as second:
            assert (await second.reply())[:9] == b"421 4.3.2"
            assert await second.rest() == b""
