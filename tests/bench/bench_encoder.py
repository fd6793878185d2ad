"""What the encoder costs, and what each trick in `filterd.model` is worth, as ratios.

Usage: python tests/bench/bench_encoder.py [BUNDLE]    (the shipped bundle if none is named)

CPU time, best of several rounds, one thread; other work on the machine still shows.

The last line holds the encoder against the limit of its matrix products, run turn about with it:
all products of the encoder's shapes, each with weights of its own, and nothing else. Those with
weights are int8 by ONNX Runtime's own kernel (MatMulInteger, weights within +-64, the inputs
already packed), those of attention fp32; the last layer is counted for [CLS] alone. Not in the
limit: scaling and packing of activations, biases, softmax, GELU, norms, transposes, look-ups and
the steps between nodes. It is the limit of this library on this machine, not of the machine.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from filterd.model.batcher import Batcher
from filterd.model.bundle import MODEL, SHIPPED, WEIGHTS
from filterd.model.encoder import Encoder, open_encoder
from filterd.model.runtime import has_vnni, open_session

TEXT = "the order of your account was shipped on friday and we thank you for the payment"


def show(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def resident_megabytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def session_with(path: Path, *, exact: bool, fused: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", str(int(exact)))
    disabled = [] if fused else ["SkipLayerNormFusion"]
    return onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=disabled
    )


def milliseconds(session: onnxruntime.InferenceSession, rows: int, tokens: int) -> float:
    """CPU milliseconds a text, for `rows` texts of `tokens` tokens in one run."""
    ids = np.random.default_rng(0).integers(1000, 2000, (rows, tokens))
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": ids * 0}
    feed = {found.name: feed[found.name] for found in session.get_inputs()}
    session.run(None, feed)
    best = float("inf")
    for _ in range(max(5, 40 // rows)):
        started = time.process_time()
        session.run(None, feed)
        best = min(best, time.process_time() - started)
    return best * 1000 / rows


def matrix_products(config: object, tokens: int) -> onnx.ModelProto:
    """The products of an encoder of this configuration for one text, and nothing else."""
    from trainer.graph import Nodes  # brings PyTorch, which is no part of the memory shown above

    random = np.random.default_rng(0)
    graph = Nodes()
    inputs: dict[str, onnx.ValueInfoProto] = {}
    outputs: list[onnx.ValueInfoProto] = []
    row_bounds = [graph.constant(str(number), np.array([number])) for number in (0, 1, -2)]

    def given(kind: int, *shape: int) -> str:
        name = "_".join(map(str, (kind, *shape)))
        inputs[name] = helper.make_tensor_value_info(name, kind, shape)
        return name

    def product(operation: str, left: str, right: str, kind: int) -> None:
        name = f"product{len(outputs)}"
        graph.node(operation, [left, right], name)
        # A row of each comes out: whole ones would be written to fresh memory at every run.
        row = graph.node("Slice", [name, *row_bounds], f"{name}/row")
        outputs.append(helper.make_tensor_value_info(row, kind, None))

    def weighted(rows: int, channels: int, width: int) -> None:
        weight = random.integers(-64, 65, (channels, width)).astype(np.int8)
        right = graph.constant(f"weight{len(outputs)}", weight)
        product("MatMulInteger", given(TensorProto.UINT8, rows, channels), right, TensorProto.INT32)

    hidden, inner, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    width, kind = hidden // heads, TensorProto.FLOAT
    for layer in range(config.num_hidden_layers):
        last = layer == config.num_hidden_layers - 1
        rows = 1 if last else tokens
        weighted(tokens, hidden, 2 * hidden if last else 3 * hidden)
        if last:
            weighted(1, hidden, hidden)
        keys, values = given(kind, heads, width, tokens), given(kind, heads, tokens, width)
        product("MatMul", given(kind, heads, rows, width), keys, kind)
        product("MatMul", given(kind, heads, rows, tokens), values, kind)
        weighted(rows, hidden, hidden)
        weighted(rows, hidden, inner)
        weighted(rows, inner, hidden)
    return graph.model(list(inputs.values()), outputs)


def against_the_limit(bundle: Path, tokens: int, rounds: int = 40) -> tuple[float, float, float]:
    """Median CPU milliseconds of the encoder, of its graph in fp32, and of its products alone."""
    from trainer.graph import build_graph
    from trainer.network import load_half

    network = load_half(bundle / WEIGHTS)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        full, products = Path(name) / "fp32.onnx", Path(name) / "products.onnx"
        onnx.save(build_graph(network), full)
        onnx.save(matrix_products(network.config, tokens), products)
        sessions = [open_session(each) for each in (bundle / MODEL, full, products)]
    ids = random.integers(1000, 2000, (1, tokens))
    feeds = [
        {each.name: ids if each.name == "input_ids" else ids**0 for each in session.get_inputs()}
        for session in sessions[:2]
    ]
    kinds = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
    feeds.append(
        {
            each.name: random.integers(0, 255, each.shape).astype(kinds[each.type])
            for each in sessions[2].get_inputs()
        }
    )
    times = np.empty((rounds, len(sessions)))
    for turn in range(-2, rounds):
        for place, (session, feed) in enumerate(zip(sessions, feeds, strict=True)):
            started = time.process_time()
            session.run(None, feed)
            if turn >= 0:
                times[turn, place] = time.process_time() - started
    encoder, fp32, limit = 1000 * np.median(times, axis=0)
    return float(encoder), float(fp32), float(limit)


async def latencies(encoder: Encoder, texts: list[str], batch: int) -> tuple[float, float]:
    """Median and p99, milliseconds, of texts that arrive at random at 60% of what is possible."""
    started = time.perf_counter()
    encoder.encode(texts[:50])
    pause = (time.perf_counter() - started) / 50 / 0.6
    batcher = Batcher(encoder, batch=batch)
    random = np.random.default_rng(1)
    found: list[float] = []

    async def judge(text: str) -> None:
        arrived = time.perf_counter()
        await batcher.encode(text)
        found.append(1000 * (time.perf_counter() - arrived))

    async with asyncio.TaskGroup() as tasks:
        for text in texts:
            tasks.create_task(judge(text))
            await asyncio.sleep(random.exponential(pause))
    await batcher.close()
    return float(np.percentile(found, 50)), float(np.percentile(found, 99))


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED
    before = resident_megabytes()
    started = time.perf_counter()
    encoder = open_encoder(path)
    show(f"open, verify, golden   {time.perf_counter() - started:6.2f} s")
    show(f"memory                 {before:6} MB before, {resident_megabytes()} MB after opening")

    limit = encoder.bundle.max_tokens
    random = np.random.default_rng(0)
    texts = [
        " ".join(random.choice(TEXT.split(), count)) for count in random.integers(20, limit, 300)
    ]
    started = time.process_time()
    for text in texts:
        encoder.encode([text])
    show(f"text to scores         {1000 * (time.process_time() - started) / len(texts):6.1f} ms")
    for batch in (1, 4, 16):
        median, worst = asyncio.run(latencies(encoder, texts, batch))
        show(f"60% load, batches <={batch:2}  {median:6.0f} ms median, {worst:.0f} ms p99")
    show(f"memory                 {resident_megabytes():6} MB after serving")

    lengths = [length for length in (64, 128, 256, 512) if length <= limit]
    serving = open_session(path / MODEL)
    alone = {length: milliseconds(serving, 1, length) for length in lengths}
    for length, cost in alone.items():
        show(f"one text, {length:3} tokens   {cost:6.1f} ms")

    length = lengths[-1]
    for rows in (4, 16):
        ratio = milliseconds(serving, rows, length) / alone[length]
        show(f"{rows:2} texts in one run     {ratio:6.2f} x the cost of one alone")
    exact = not has_vnni()
    ours = milliseconds(session_with(path / MODEL, exact=exact, fused=False), 1, length)
    fused = milliseconds(session_with(path / MODEL, exact=exact, fused=True), 1, length)
    other = milliseconds(session_with(path / MODEL, exact=not exact, fused=False), 1, length)
    show(f"SkipLayerNorm fused    {fused / ours:6.2f} x")
    show(f"int8 {'clipped' if exact else 'unsigned'}           {other / ours:6.2f} x")
    for length in lengths:
        cost, full, least = against_the_limit(path, length)
        show(
            f"{length:3} tokens: encoder {cost:.1f} ms, fp32 {full:.1f} ms, "
            f"GEMM limit {least:.1f} ms, ratio {cost / least:.2f}"
        )


if __name__ == "__main__":
    main()
