"""A model on disk: one folder, written once, never changed (design section 6).

Written beside its place and renamed into it, so half a bundle is never seen; read only after
each file's SHA-256 was compared. No pickle anywhere: ONNX, safetensors and JSON.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterd.errors import BundleError
from filterd.mail.render import RENDERER_VERSION
from filterd.model.manifest import (
    FORMAT_VERSION,
    GoldenMessage,
    Linear,
    NewerFormatError,
    Task,
    dump_manifest,
    parse_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from io import BufferedIOBase, BufferedReader

__all__ = [
    "FORMAT_VERSION",
    "SHIPPED",
    "Bundle",
    "GoldenMessage",
    "Linear",
    "Task",
    "broken",
    "load",
    "verify",
    "write",
]

MANIFEST = "bundle.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
WEIGHTS = "weights.safetensors"
LINEAR = "linear.npy"  # only where the bundle has a linear model
FILES = (MODEL, TOKENIZER, WEIGHTS)
MANIFEST_BYTES = 16 * 1024 * 1024
TEMPORARY = ".writing"

SHIPPED = Path(__file__).resolve().parent.parent / "shipped"
# Renderers whose text this code can make; a bundle trained on another's would misjudge.
RENDERER_VERSIONS = frozenset({RENDERER_VERSION})


@dataclass(frozen=True)
class Bundle:
    """A model and all that is needed to serve it, trace it and train it further.

    `files` maps each file's name to its SHA-256 in hex; `max_tokens` counts [CLS] and [SEP];
    `created` is ISO 8601; `golden` are rendered texts with the scores this very model gave.
    """

    path: Path
    version: str
    tasks: tuple[Task, ...]
    renderer_version: int
    max_tokens: int
    base_model: str
    base_licence: str
    data_digest: str
    metrics: dict[str, Any]
    golden: tuple[GoldenMessage, ...]
    files: dict[str, str]
    created: str
    linear: Linear | None = None

    def task(self, name: str) -> Task:
        """The task of that name; BundleError if this bundle does not know it."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise BundleError(f"{self.path}: this bundle has no task '{name}'")

    def threshold(self, name: str) -> float:
        """The task's threshold, a probability 0..1; BundleError if it has none."""
        threshold = self.task(name).threshold
        if threshold is None:
            raise BundleError(f"{self.path}: task '{name}' has no threshold")
        return threshold


def load(path: Path) -> Bundle:
    """Read `bundle.json` without looking at the files it lists; raises BundleError."""
    try:
        with _open_regular(path / MANIFEST) as file:
            text = file.read(MANIFEST_BYTES + 1)
    except FileNotFoundError:
        raise broken(path, f"no {MANIFEST} there") from None
    except (OSError, ValueError) as error:
        raise broken(path, f"{MANIFEST} cannot be read: {_reason(error)}") from None
    if len(text) > MANIFEST_BYTES:
        raise broken(path, f"{MANIFEST} is larger than {MANIFEST_BYTES} bytes")
    try:
        manifest = parse_manifest(text)
    except NewerFormatError as error:
        remedy = f"install the release that wrote it ({error.written_by}) or a newer one"
        raise broken(path, str(error), remedy=remedy) from None
    except ValueError as error:
        raise broken(path, f"{MANIFEST}: {error}") from None
    expected = FILES if manifest.linear is None else (*FILES, LINEAR)
    if set(manifest.files) != set(expected):
        raise broken(path, f"{MANIFEST} must list exactly {', '.join(expected)}")
    fields = dict(manifest)
    del fields["format_version"], fields["written_by"], fields["own_digest"]
    return Bundle(path=path, **fields)


def verify(path: Path, *, renderer_versions: Collection[int] = RENDERER_VERSIONS) -> Bundle:
    """Load a bundle and compare every file with its SHA-256.

    Raises BundleError, which names folder and file, when a file is missing, altered, not a plain
    file (a symlink leads out of the folder), or not listed, and when this code cannot make the
    text the model was trained on.
    """
    bundle = load(path)
    if bundle.renderer_version not in renderer_versions:
        raise broken(
            path,
            f"it reads mail as renderer {bundle.renderer_version} writes it, this filterd has "
            f"{', '.join(map(str, sorted(renderer_versions)))}",
            remedy="use the filterd release it was trained with, or train it again",
        )
    try:
        extra = {entry.name for entry in path.iterdir()} - {MANIFEST, *bundle.files}
    except OSError as error:
        raise broken(path, _reason(error)) from None
    if extra:
        raise broken(path, f"unexpected file {min(extra)}")
    for name, expected in bundle.files.items():
        try:
            with _open_regular(path / name) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise broken(path, f"{name} is missing") from None
        except (OSError, ValueError) as error:
            raise broken(path, f"{name} cannot be read: {_reason(error)}") from None
        if found != expected:
            raise broken(path, f"{name} is not the file that was published (SHA-256 differs)")
    return bundle


def write(
    folder: Path,
    *,
    model: Path,
    tokenizer: Path,
    weights: Path,
    version: str,
    tasks: Sequence[Task],
    renderer_version: int,
    max_tokens: int,
    base_model: str,
    base_licence: str,
    data_digest: str,
    metrics: dict[str, Any],
    golden: Sequence[GoldenMessage],
    created: str,
    linear: tuple[Path, Linear] | None = None,
) -> Bundle:
    """Publish a bundle at `folder`, which must not exist; the files given are copied.

    `linear` is the file of a linear model and what goes with it. Either the whole bundle is there
    afterwards, on disk and readable, or nothing is. Golden scores come from
    `encoder.record_golden`. Raises BundleError.
    """
    if os.path.lexists(folder):
        raise BundleError(f"{folder}: already there, and a bundle is never overwritten")
    sources = {MODEL: model, TOKENIZER: tokenizer, WEIGHTS: weights}
    if linear is not None:
        sources[LINEAR] = linear[0]
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(4)}{TEMPORARY}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        try:
            files = {name: _copy(source, temporary / name) for name, source in sources.items()}
            manifest = dump_manifest(
                {
                    "version": version,
                    "tasks": tasks,
                    "renderer_version": renderer_version,
                    "max_tokens": max_tokens,
                    "base_model": base_model,
                    "base_licence": base_licence,
                    "data_digest": data_digest,
                    "metrics": metrics,
                    "golden": golden,
                    "files": files,
                    "created": created,
                    "linear": None if linear is None else linear[1],
                }
            )
            with (temporary / MANIFEST).open("xb") as file:
                file.write(manifest)
                _sync(file)
            _sync_folder(temporary)
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync_folder(folder.parent)
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder}: nothing was published: {_reason(error)}") from None
    return load(folder)


def broken(path: Path, what: str, *, remedy: str = "") -> BundleError:
    """The error for a bundle that cannot serve: its folder, what is wrong, what to do."""
    if not remedy:
        remedy = (
            "reinstall filterd"
            if path == SHIPPED
            else "copy the bundle again, or roll back with `filterd models rollback`"
        )
    return BundleError(f"{path}: not a usable bundle: {what}; {remedy}", what=what)


def _open_regular(path: Path) -> BufferedReader:
    """Open a plain file for reading: no symlink, and no FIFO or device, which could hang us."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is not a plain file")
    return os.fdopen(descriptor, "rb")


def _copy(source: Path, target: Path) -> str:
    """Copy one file durably; its SHA-256 in hex, of what arrived rather than of what was sent."""
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        _sync(file)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(file: BufferedIOBase) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        # The path last: a trainer keeps no more than the beginning of a long line.
        named = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{named}"
    return str(error)
