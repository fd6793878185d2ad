"""CPU of the SMTP relay alone: smtp-source -> filterd.smtp -> smtp-sink, nobody judging.

    python tests/bench/bench_smtp.py [MESSAGES]

Prints CPU milliseconds of the relay per message, and the ratio to the smallest message. Needs
Postfix' smtp-source and smtp-sink (Debian package postfix).
"""

import asyncio
import ipaddress
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from multiprocessing import Pipe, Process

import uvloop

from filterd.smtp import NextHopOptions, Outcome, Server, ServerConfig, SessionLimits, open_next_hop

SIZES = (3_600, 100_000, 10_000_000)
PARALLEL = 16
LIMITS = SessionLimits(52_428_800, 1000, 65_536, 1_048_576, 300.0, 600.0, "normalize")


class Nobody:
    async def examine(self, envelope, message):
        return Outcome(message, None), None

    def delivered(self, token, replies):
        pass


def serve(pipe, sink_port):
    async def run():
        url = f"smtp://127.0.0.1:{sink_port}"
        loopback = (ipaddress.ip_network("127.0.0.0/8"),)
        server = Server(
            ServerConfig(
                examiner=Nobody(),
                next_hop=open_next_hop(url, NextHopOptions(hostname="filter.example")),
                quarantine=None,
                limits=LIMITS,
                hostname="filter.example",
                allowed_clients=loopback,
                trusted_peers=loopback,
                max_connections=1000,
            )
        )
        sock = socket.create_server(("127.0.0.1", 0))
        await server.start(sock)
        pipe.send(sock.getsockname()[1])
        loop = asyncio.get_running_loop()
        while True:
            readable = asyncio.Event()
            loop.add_reader(pipe.fileno(), readable.set)
            await readable.wait()
            loop.remove_reader(pipe.fileno())
            pipe.recv()
            usage = os.times()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            pipe.send((usage.user + usage.system, peak))

    uvloop.run(run())


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def main():
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    sink_port = free_port()
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    sink = subprocess.Popen(
        [shutil.which("smtp-sink", path="/usr/sbin"), *user, f"127.0.0.1:{sink_port}", "1000"]
    )
    pipe, other = Pipe()
    relay = Process(target=serve, args=(other, sink_port), daemon=True)
    relay.start()
    port = pipe.recv()
    smallest = None
    try:
        for size in SIZES:
            for once in ([], ["-d"]):
                count = max(PARALLEL, messages * SIZES[0] // size if size > 100_000 else messages)
                pipe.send(None)
                before, _ = pipe.recv()
                start = time.perf_counter()
                load = ["-s", str(PARALLEL), "-m", str(count), "-l", str(size)]
                source = shutil.which("smtp-source", path="/usr/sbin")
                subprocess.run([source, *once, *load, f"127.0.0.1:{port}"], check=True)
                wall = time.perf_counter() - start
                pipe.send(None)
                after, peak = pipe.recv()
                cpu = (after - before) * 1000 / count
                smallest = smallest or cpu
                kind = "one connection" if once else "connection each"
                sys.stdout.write(
                    f"{size:>10,} bytes, {kind:15}: {cpu:7.2f} ms CPU, "
                    f"ratio {cpu / smallest:6.2f}, {count / wall:6.0f} messages/s, "
                    f"peak RSS {peak:.0f} MB\n"
                )
    finally:
        relay.terminate()
        sink.terminate()
        sink.wait()


if __name__ == "__main__":
    main()
