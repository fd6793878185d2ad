"""What `bundle.json` says: its shape, its bounds, and nothing about the files beside it.

Whatever is read here came from outside; only pydantic turns it into objects, in strict mode, so
that a wrong shape is a sentence and never a KeyError.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from filterd import __version__

# 2 brought the linear model, 3 the digest of bundle.json itself; older ones are read without.
FORMAT_VERSION = 3
WITH_OWN_DIGEST = 3
SPAM_TASK = "spam"
SPAM_LABELS = ("ham", "spam")
SENTIMENT_TASK = "sentiment"
NO_DIGEST = "0" * 64
# Names that are already taken in the ONNX graph.
RESERVED_NAMES = frozenset({"embedding", "input_ids", "attention_mask", "token_type_ids"})

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
OneLine = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\p{C}\p{Zl}\p{Zp}]+$")]
Label = Annotated[str, Field(max_length=64, pattern=r"^\w[\w .&/+-]*$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(max_length=64, pattern=r"^[a-z][a-z0-9_.]*$")]
# The version names the folder, stands in a mail header and in metrics.
Version = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
TaskName = Annotated[str, Field(max_length=32, pattern=r"^[a-z][a-z0-9_]*$")]


@dataclass(frozen=True)
class Task:
    """One question the model answers.

    `labels` in the order of the head's logits; `temperature` divides the logits before softmax;
    `threshold` is the probability from which the last label holds, None where the largest wins.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: TaskName
    labels: Annotated[tuple[Label, ...], Field(min_length=2, max_length=256)]
    temperature: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0
    threshold: Probability | None = None


@dataclass(frozen=True)
class GoldenMessage:
    """A rendered message and the calibrated probabilities this bundle gave it, per task."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=65_536)]
    scores: dict[str, tuple[Probability, ...]]


@dataclass(frozen=True)
class Linear:
    """What goes with the arrays of `linear.npy` (see `filterd.model.linear.LinearModel`)."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    bias: Annotated[float, Field(allow_inf_nan=False)]
    share: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class Manifest(BaseModel):
    """`bundle.json`, read and found sound. Invariants between fields hold once it exists."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int
    written_by: OneLine
    version: Version
    created: str
    tasks: Annotated[tuple[Task, ...], Field(min_length=1, max_length=64)]
    renderer_version: Annotated[int, Field(ge=1)]
    max_tokens: Annotated[int, Field(ge=8, le=8192)]
    base_model: OneLine
    base_licence: OneLine
    data_digest: OneLine
    metrics: dict[str, Any]
    golden: Annotated[tuple[GoldenMessage, ...], Field(min_length=1, max_length=1000)]
    files: dict[FileName, Digest]
    linear: Linear | None = None
    own_digest: Digest | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        datetime.fromisoformat(self.created)  # its ValueError says what is wrong
        if self.own_digest is None and self.format_version >= WITH_OWN_DIGEST:
            raise ValueError("own_digest is missing")
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names) or not RESERVED_NAMES.isdisjoint(names):
            raise ValueError("task names must differ from each other and from the graph's own")
        for task in self.tasks:
            if len(set(task.labels)) != len(task.labels):
                raise ValueError(f"task '{task.name}' names a label twice")
        tasks = {task.name: task for task in self.tasks}
        if SPAM_TASK not in tasks or SENTIMENT_TASK not in tasks:
            raise ValueError("mail cannot be judged without the tasks 'spam' and 'sentiment'")
        if tasks[SPAM_TASK].labels != SPAM_LABELS or tasks[SPAM_TASK].threshold is None:
            raise ValueError("task 'spam' needs the labels ham, spam and a threshold")
        for number, message in enumerate(self.golden):
            _check_scores(number, message, tasks)
        return self


def _check_scores(number: int, message: GoldenMessage, tasks: dict[str, Task]) -> None:
    if message.scores.keys() != tasks.keys():
        raise ValueError(f"golden message {number} is not scored for each task exactly once")
    for name, scores in message.scores.items():
        if len(scores) != len(tasks[name].labels):
            raise ValueError(f"golden message {number} has not one score per label of '{name}'")
        if not math.isclose(sum(scores), 1.0, abs_tol=1e-3):
            raise ValueError(f"golden message {number}: scores of '{name}' do not add up to 1")


class _Format(BaseModel):
    """Only the format, so that a newer one is told apart from a broken file."""

    format_version: int
    written_by: OneLine = "unnamed"


class NewerFormatError(ValueError):
    """The bundle is of a format that a later filterd brought; `written_by` is its release."""

    def __init__(self, version: int, written_by: str) -> None:
        super().__init__(
            f"its format is {version}, this filterd {__version__} reads up to {FORMAT_VERSION}"
        )
        self.written_by = written_by


def parse_manifest(text: bytes) -> Manifest:
    """Read `bundle.json`.

    Raises ValueError, one line that says what is wrong with it; NewerFormatError if nothing is.
    """
    try:
        found = _Format.model_validate_json(text, strict=True)
        if found.format_version > FORMAT_VERSION:
            raise NewerFormatError(found.format_version, found.written_by)
        if found.format_version < 1:
            raise ValueError(f"there is no bundle format {found.format_version}")
        manifest = Manifest.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(_first_error(error)) from None
    if manifest.own_digest not in {None, _digest_of_rest(text, manifest.own_digest)}:
        raise ValueError("it is not as it was published (own_digest differs)")
    return manifest


def dump_manifest(fields: dict[str, Any]) -> bytes:
    """`bundle.json` of these fields: sorted, indented, and proven to be readable again.

    Raises ValueError as `parse_manifest` does, or when a value is not JSON.
    """
    fields = {
        **fields,
        "format_version": FORMAT_VERSION,
        "written_by": __version__,
        "tasks": [asdict(task) for task in fields["tasks"]],
        "golden": [asdict(message) for message in fields["golden"]],
        "linear": asdict(linear) if (linear := fields.get("linear")) else None,
        "own_digest": NO_DIGEST,
    }
    try:
        text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except TypeError as error:
        raise ValueError(str(error)) from None
    encoded = f"{text}\n".encode(errors="surrogatepass")
    digest = _digest_of_rest(encoded, NO_DIGEST)
    encoded = encoded.replace(_entry(NO_DIGEST), _entry(digest))
    parse_manifest(encoded)
    return encoded


def _digest_of_rest(text: bytes, own: str | None) -> str:
    """SHA-256, in hex, of `bundle.json` with nothing in the place of its own digest.

    Byte by byte, since a threshold that is a little off is as sound as any to look at.
    """
    rest = text.replace(_entry(own or NO_DIGEST), _entry(NO_DIGEST))
    return hashlib.sha256(rest).hexdigest()


def _entry(digest: str) -> bytes:
    return f'"own_digest": "{digest}"'.encode()


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
