"""A night after one labeller said the opposite: does the gate keep good mail safe?

    python tests/bench/poison.py --site FOLDER --mail FOLDER [--share 0.05]

FOLDER of the site is what `tests/bench/fortnight.py` or `bench_night.py` left (OUT/site; give a
copy, labels are added), that of mail what it was given. One person labels so many mails that a share of all labels
is theirs, each wrongly, half of them wanted mail called spam; then `filterd-trainer run` does the
night. Prints what the gate said.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fortnight import a_night, digest_of, mails_of, out
from rich.table import Table
from sqlalchemy import func, select

from filterd.store.database import open_database
from filterd.store.labels import add_label
from filterd.store.runs import runs
from filterd.store.tables import Labels, Messages

POISONER = "mallory"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--mail", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.05)
    arguments = parser.parse_args()
    given = poison(arguments.site, arguments.mail, arguments.share)
    out.print(f"{given} labels of {POISONER}, all of them wrong")
    a_night(arguments.site, Nothing())
    database = open_database(f"sqlite:///{arguments.site}/var/filterd.db")
    try:
        run = runs(database, datetime.now(UTC) - timedelta(hours=12))[0]
    finally:
        database.close()
    table = Table("rule", "passed", "what", title=f"{run.state}: {run.reason or ''}")
    for rule in (run.figures or {}).get("gate", []):
        table.add_row(rule["name"], "yes" if rule["passed"] else "no", rule["text"])
    out.print(table)


class Nothing:
    """Takes what `a_night` would note of a day."""

    golden_ham = None


def poison(site: Path, folder: Path, share: float) -> int:
    """Label mails wrongly; how many."""
    truth = {}
    for label, message in mails_of(folder):
        truth[digest_of(message)] = label
    database = open_database(f"sqlite:///{site}/var/filterd.db")
    try:
        labelled = select(Labels.message_id)
        statement = (
            select(Messages.id, Messages.digest)
            .where(Messages.verdict.is_not(None), Messages.id.not_in(labelled))
            .order_by(Messages.id)
        )
        with database.read() as connection:
            rows = [row for row in connection.execute(statement) if row.digest in truth]
            labels = connection.scalar(select(func.count()).select_from(Labels))
        count = round(share * labels / (1 - share))
        half = count // 2
        chosen = [row for row in rows if truth[row.digest] == "ham"][:half]
        chosen += [row for row in rows if truth[row.digest] == "spam"][: count - half]
        for row in chosen:
            wrong = "ham" if truth[row.digest] == "spam" else "spam"
            add_label(database, row.id, "spam", wrong, POISONER, "cli")
        return len(chosen)
    finally:
        database.close()


if __name__ == "__main__":
    main()
