"""ONNX Runtime and tokenizers as serving sets them up; training and export measure with the same.

Every option here is either needed for equal scores on every machine or was measured to pay.
"""

from __future__ import annotations

import os
from pathlib import Path

# Read when it is loaded: ONNX Runtime would keep a device id and a database in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime
from tokenizers import Tokenizer  # ships none

from filterd.model.bundle import broken

# Errors come as exceptions; a second copy of them on standard error helps nobody.
FATAL_ONLY = 4


def open_session(path: Path, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """A graph as serving runs it: same scores on every processor, little memory, no chatter.

    Raises BundleError.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    # Threads that spin between runs take the processor from mail: 69 ms of CPU a text against 30.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not has_vnni():
        # Without VNNI the int8 product adds pairs in 16 bits and clips them: logits were off by
        # as much as all of quantization costs (mean 0.16), and golden scores with them. Exact is
        # a quarter slower. With VNNI nothing clips, and unsigned weights run at half speed.
        options.add_session_config_entry("session.x64quantprecision", "1")
    # The memory arena stays on: off, 16x128 tokens peak at 250 MB and not 139.
    try:
        return onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            # ONNX Runtime's fused kernel is slower than plain LayerNorm: a whole run by 4 to 18%
            # with AVX2, that one step by a factor of 8 with AVX-512 (tests/bench/bench_encoder.py).
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise broken(path.parent, f"{path.name} cannot be loaded: {one_line(error)}") from error


def has_vnni(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies int8 exactly (x86: VNNI or AMX); False if unknown."""
    try:
        with cpuinfo.open(encoding="ascii", errors="replace") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return False
    return not {"avx512_vnni", "avx_vnni", "amx_int8"}.isdisjoint(flags.split())


def open_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    """The tokenizer as serving uses it; training must use the same.

    Truncates to `max_tokens`, does not pad, and reads "[SEP]" in a mail as six characters: a
    sender must not be able to write the model's control tokens. Raises BundleError.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise broken(path.parent, f"{path.name} cannot be read: {one_line(error)}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    tokenizer.encode_special_tokens = True
    return tokenizer


def one_line(error: Exception) -> str:
    """What a library said, as one line of bounded length for an error of ours."""
    return " ".join(str(error).split())[:300]
