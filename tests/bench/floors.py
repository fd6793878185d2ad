"""The floors that `make bench` prints: CPU per message, memory of a worker, time to start.

    python tests/bench/floors.py [MESSAGES] [--json]

A real worker judges 3.6 kB mails between a client and an SMTP next hop, each in a process of its
own. CPU outside the encoder = the worker's CPU less what the thread spent inside the ONNX graph.
Exit code 1 when a floor is missed.
"""

import json
import multiprocessing
import os
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.table import Table

SIZE = 3_600
WARM_UP = 50
FLOORS = {"cpu_outside_encoder_ms": 5.0, "worker_rss_mib": 300.0, "start_to_ready_s": 2.0}


def sink(port_pipe):
    """A next hop that takes everything."""
    from aiosmtpd.controller import Controller

    class Takes:
        async def handle_DATA(self, server, session, envelope):
            return "250 2.0.0 taken"

    controller = Controller(Takes(), hostname="127.0.0.1", port=free_port())
    controller.start()
    port_pipe.send(controller.port)
    port_pipe.recv()


def worker(pipe, folder, sink_port):
    """A worker as `filterd serve` runs it, with the graph's CPU counted apart."""
    os.chdir(folder)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    import asyncio
    import threading

    import uvloop

    from filterd.logs import configure_logs
    from filterd.model.encoder import Encoder
    from filterd.settings import Settings
    from filterd.store.database import open_database
    from filterd.store.schema import upgrade
    from filterd.worker import Worker

    spent = 0.0
    compute = Encoder._compute

    def counted(self, ids):
        nonlocal spent
        started = time.thread_time()
        try:
            return compute(self, ids)
        finally:
            spent += time.thread_time() - started

    Encoder._compute = counted
    settings = Settings(next_hop=f"smtp://127.0.0.1:{sink_port}", log_level="warning")
    configure_logs(settings)
    database = open_database(settings.database)
    upgrade(database)
    sock = socket.create_server(("127.0.0.1", 0))
    ours, theirs = socket.socketpair()

    def answer():
        ours.recv(4096)
        pipe.send(sock.getsockname()[1])
        while pipe.recv() == "figures":
            usage = os.times()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            rss = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
            pipe.send((usage.user + usage.system, spent, rss))

    threading.Thread(target=answer, daemon=True).start()
    uvloop.run(Worker(settings, database).run(sock, theirs))
    asyncio.set_event_loop(None)


def messages(count):
    """Our own samples, their text repeated up to the median size of real mail."""
    samples = sorted(Path("filterd/samples").glob("*.eml"))
    for number in range(count):
        raw = samples[number % len(samples)].read_bytes().replace(b"\r\n", b"\n")
        head, _, body = raw.partition(b"\n\n")
        filler = b" ".join(body.split()[:40]) + b"\n"
        while len(raw) < SIZE:
            raw += filler
        yield head.replace(b"\n\n", b"\n") and raw[: max(SIZE, len(head) + 2)]


def measure_message(count, folder):
    """CPU milliseconds a message outside and inside the encoder, and MiB of the worker."""
    context = multiprocessing.get_context("spawn")
    sink_pipe, other = context.Pipe()
    sinking = context.Process(target=sink, args=(other,), daemon=True)
    sinking.start()
    pipe, other = context.Pipe()
    working = context.Process(target=worker, args=(other, folder, sink_pipe.recv()), daemon=True)
    working.start()
    other.close()  # so that a worker that fails is an end here, not a wait without one
    port = pipe.recv()
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()

        def send(mails):
            for mail in mails:
                client.mail("a@example.org")
                client.rcpt("b@example.com")
                code, text = client.data(mail)
                assert code == 250, (code, text)

        send(messages(WARM_UP))
        pipe.send("figures")
        cpu_before, graph_before, _ = pipe.recv()
        send(messages(count))
        pipe.send("figures")
        cpu, graph, rss = pipe.recv()
    working.terminate()
    working.join()
    sinking.kill()
    inside = (graph - graph_before) / count * 1000
    return (cpu - cpu_before) / count * 1000 - inside, inside, rss


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def measure_start(folder):
    """Seconds from exec of `filterd serve` to /readyz."""
    metrics = free_port()
    environment = {
        **os.environ,
        "FILTERD_LISTEN": f"127.0.0.1:{free_port()}",
        "FILTERD_METRICS": f"127.0.0.1:{metrics}",
        "FILTERD_LOG_LEVEL": "error",
    }
    started = time.perf_counter()
    command = [sys.executable, "-m", "filterd", "serve"]
    daemon = subprocess.Popen(command, cwd=folder, env=environment)
    while daemon.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{metrics}/readyz", timeout=1)
            break
        except (urllib.error.URLError, OSError):
            time.sleep(0.005)
    took = time.perf_counter() - started
    daemon.terminate()
    if daemon.wait() != 0:
        sys.exit(f"filterd serve ended with {daemon.returncode}")
    return took


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--json"]
    count = int(arguments[0]) if arguments else 400
    folder = tempfile.mkdtemp(prefix="filterd-bench-")
    try:
        starts = sorted(measure_start(folder) for _ in range(5))
        outside, inside, rss = measure_message(count, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = {
        "cpu_outside_encoder_ms": round(outside, 2),
        "worker_rss_mib": round(rss, 1),
        "start_to_ready_s": round(starts[len(starts) // 2], 2),
        "cpu_in_encoder_ms": round(inside, 2),
        "messages": count,
    }
    missed = [name for name, floor in FLOORS.items() if figures[name] > floor]
    if "--json" in sys.argv:
        print(json.dumps(figures | {"missed": missed}))
    else:
        table = Table("figure", "measured", "floor")
        for name, value in figures.items():
            floor = FLOORS.get(name)
            table.add_row(name, str(value), "" if floor is None else f"≤ {floor}")
        Console().print(table)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
