"""An evaluation as one page for people: figures, curves, and the mails that were judged worst.

The page loads nothing and runs nothing. Text that came by mail is hostile: it enters through
`escape` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer import html_blocks as blocks
from trainer import plots
from trainer.corpora import SPAM
from trainer.curves import calibration_error, curve, reliability
from trainer.evaluate import logistic_average
from trainer.judge import figures, probabilities

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from filterd.model.bundle import Bundle
    from trainer.judge import Judged

    Figures = Mapping[str, Any]

PAGE = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8"))
WORST = 10  # of either kind
THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
COLUMN_NOTES = {
    True: "1-ROCA%: how often a spam scores below a ham, in percent. R@0.1%: share of spam caught "
    "when 0.1% of ham is flagged. FP: ham flagged, FN: spam missed, both at the threshold.",
    False: "Macro-F1: precision and recall of each label that occurs, averaged over labels.",
}
LANGUAGE_NOTES = (
    "Guessed from the text (ISO 639 codes). und: cannot be told; others: fewer than five texts."
)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The texts that are known to be ham or spam, with the probability each was given."""

    judged: list[Judged]
    scores: np.ndarray
    is_spam: np.ndarray
    threshold: float


def html_report(judged: Sequence[Judged], bundle: Bundle, *, made: datetime, source: str) -> str:
    """The page, whole, for texts of `judge_corpora`; `source` says where they came from."""
    found = figures(judged, bundle)
    labels = {task.name: task.labels for task in bundle.tasks if task.name in found}
    parts = [_header(judged, bundle, made, source), _tiles(found)]
    if SPAM in labels:
        scored = _scored(judged, bundle)
        tables = f'<div class="stack">{_tables(SPAM, found[SPAM])}</div>'
        parts += [_spam_section(scored, found[SPAM]), tables]
    parts += [
        _task_section(task, names, found[task]) for task, names in labels.items() if task != SPAM
    ]
    if SPAM in labels:
        parts.append(_worst_section(scored))
    parts.append(_footer(bundle, source))
    return PAGE.substitute(title=escape(f"filterd: bundle {bundle.version}"), body="\n".join(parts))


def _header(judged: Sequence[Judged], bundle: Bundle, made: datetime, source: str) -> str:
    corpora = sorted({each.example.corpus for each in judged})
    return (
        f"<h1>How well does bundle {escape(bundle.version)} judge?</h1>"
        f'<p class="quiet">{len(judged):,} texts of {escape(", ".join(corpora))} in '
        f"{escape(source)}, judged on {made:%d %B %Y, %H:%M %Z}. "
        f"Spam from a probability of {bundle.threshold(SPAM):g} on.</p>"
    )


def _tiles(found: Figures) -> str:
    tiles = []
    if SPAM in found:
        spam = found[SPAM]
        ham, count = spam["ham"], spam["spam"]
        blamed, missed = spam["false_positives"], spam["false_negatives"]
        tiles += [
            blocks.tile(
                "1-ROCA%", spam["one_minus_roca_percent"], "how often a spam scores below a ham"
            ),
            blocks.tile(
                "recall at 0.1% FP",
                blocks.percent(spam["recall_at_0.1_percent"]),
                "spam caught if 1 ham in 1,000 may be flagged",
            ),
            blocks.tile(
                "ham flagged", blocks.share(blamed, ham), f"{blamed:,} of {ham:,}, at the threshold"
            ),
            blocks.tile(
                "spam missed",
                blocks.share(missed, count),
                f"{missed:,} of {count:,}, at the threshold",
            ),
            blocks.tile(
                "lam%",
                logistic_average(blamed, ham, missed, count),
                "flagged ham and missed spam, averaged as log odds",
            ),
        ]
    tiles += [
        blocks.tile(
            f"{task}, macro-F1",
            figures_of["macro_f1"],
            f"each label counts alike; {blocks.percent(figures_of['accuracy'])} of texts are right",
        )
        for task, figures_of in found.items()
        if task != SPAM and isinstance(figures_of, dict)
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _scored(judged: Sequence[Judged], bundle: Bundle) -> Scored:
    known = [each for each in judged if SPAM in each.example.labels]
    names = next(task.labels for task in bundle.tasks if task.name == SPAM)
    return Scored(
        known,
        probabilities(known, SPAM)[:, names.index(SPAM)],
        np.array([each.example.labels[SPAM] == SPAM for each in known]),
        bundle.threshold(SPAM),
    )


def _spam_section(scored: Scored, found: Figures) -> str:
    ham, spam = found["ham"], found["spam"]
    blamed, missed = found["false_positives"], found["false_negatives"]
    caught = spam - missed
    points = curve(scored.scores, scored.is_spam)
    bins = reliability(scored.scores, scored.is_spam)
    error = calibration_error(bins)
    cards = []
    if points is None:
        cards.append(
            '<p class="quiet">These corpora hold only ham or only spam, so there is no curve to '
            "draw.</p>"
        )
    else:
        roc = plots.roc(points, (blamed / ham, caught / spam), ham)
        flagged = caught + blamed
        pr_point = (caught / spam, caught / flagged) if flagged else None
        pr = plots.precision_recall(points, pr_point, spam / (spam + ham))
        cards += [
            blocks.figure_card(
                "ROC",
                roc,
                "How much spam is caught, against how much ham is flagged with it; the more to the "
                "upper left, the better. The axis is logarithmic, since the difference between 1 "
                "ham in 100 and 1 in 1,000 is what people notice. The dot is the threshold, the "
                f"dashed line 0.1%. Shaded: less than one of the {ham:,} hams here, so nothing is "
                "known there.",
            ),
            blocks.figure_card(
                "Precision and recall",
                pr,
                "How much of what is flagged is really spam, against how much spam is caught. The "
                "dashed line is what flagging everything would give: the share of spam in these "
                "texts, which need not be that of your mail.",
            ),
        ]
    cards += [
        blocks.figure_card(
            "Calibration",
            plots.reliability_diagram(bins, scored.threshold),
            "Whether a probability means what it says: of texts given 80%, 80% should be spam (the "
            "dashed line). Bars hold the true share with 95% confidence. Below, how many texts "
            f"there are:{blocks.swatch('ham')} ham, {blocks.swatch('spam')} spam. The upright line "
            f"is the threshold. On average promise and outcome are {blocks.points(error)} apart.",
        ),
        '<div class="stack">'
        + blocks.figure_card(
            "Verdicts at the threshold",
            blocks.confusion(("ham", "spam"), [[ham - blamed, blamed], [missed, caught]]),
            f"Rows: what the text is. Columns: what it was taken for from {scored.threshold:g} on. "
            "Shares are of the row.",
        )
        + blocks.figure_card(
            "Other thresholds",
            _thresholds(scored),
            "What <code>spam_threshold</code> would do with these texts. Bold: the bundle's own.",
        )
        + "</div>",
    ]
    return f'<h2>Spam</h2><div class="pair">{"".join(cards)}</div>'


def _thresholds(scored: Scored) -> str:
    rows = []
    for threshold in sorted({*THRESHOLDS, scored.threshold}):
        flagged = scored.scores >= threshold
        blamed, caught = int(flagged[~scored.is_spam].sum()), int(flagged[scored.is_spam].sum())
        ham, spam = int((~scored.is_spam).sum()), int(scored.is_spam.sum())
        own = ' class="sum"' if threshold == scored.threshold else ""
        rows.append(
            f"<tr{own}><td>{threshold:g}</td>"
            f"<td>{blamed:,}</td><td>{blocks.share(blamed, ham)}</td><td>{caught:,}</td>"
            f"<td>{blocks.share(caught, spam)}</td></tr>"
        )
    return (
        '<table><thead><tr><th>spam from</th><th colspan="2">ham flagged</th>'
        f'<th colspan="2">spam caught</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _task_section(task: str, labels: Sequence[str], found: Figures) -> str:
    figure = blocks.figure_card(
        "Given labels",
        blocks.confusion(labels, found["confusion"]),
        "Rows: the label it has. Columns: the label it was given. Shares are of the row.",
    )
    return (
        f'<h2>{escape(task.capitalize())}</h2><div class="pair">{figure}'
        f'<div class="stack">{_tables(task, found)}</div></div>'
    )


def _tables(task: str, found: Figures) -> str:
    """By corpus and by language."""
    return blocks.group_table(
        task, "corpus", found["corpora"], found, COLUMN_NOTES[task == SPAM]
    ) + blocks.group_table(task, "language", found["languages"], found, LANGUAGE_NOTES)


def _worst_section(scored: Scored) -> str:
    order = np.argsort(scored.scores, kind="stable")
    ham = [row for row in order[::-1] if not scored.is_spam[row]][:WORST]
    spam = [row for row in order if scored.is_spam[row]][:WORST]
    return (
        "<h2>The worst mistakes</h2><p>Read these first: a wrong label in the corpus shows up here "
        "as well as a weakness of the model.</p>"
        f'<div class="pair">{_worst("Ham that looks most like spam", ham, scored)}'
        f"{_worst('Spam that looks most like ham', spam, scored)}</div>"
    )


def _worst(title: str, rows: Iterable[int], scored: Scored) -> str:
    items = []
    for row in rows:
        each, score = scored.judged[row], float(scored.scores[row])
        is_mistake = (score >= scored.threshold) != bool(scored.is_spam[row])
        tag = "flagged" if score >= scored.threshold else "not flagged"
        kind = "tag mistake" if is_mistake else "tag"
        items.append(
            f'<li><span class="score">{score:.4f}</span>'
            f'<div class="subject"><bdi>{escape(each.subject or "(no subject)")}</bdi></div>'
            f'<div class="excerpt" dir="auto">{escape(each.excerpt or "(no text)")}</div>'
            f'<div class="place"><span class="{kind}">{tag}</span> '
            f"{escape(each.language)} · {escape(shown_place(each))}</div></li>"
        )
    listed = f"<ol>{''.join(items)}</ol>" if items else '<p class="quiet">none</p>'
    return f'<div class="card"><h3>{escape(title)}</h3>{listed}</div>'


def shown_place(judged: Judged) -> str:
    """Where a text comes from: its file, else its corpus; a name that is not UTF-8 in hex."""
    place = judged.place or judged.example.corpus
    return place.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _footer(bundle: Bundle, source: str) -> str:
    command = f"filterd-trainer evaluate {bundle.path} {source} --report FILE.html"
    return (
        f"<footer class=quiet><p>Base model {escape(bundle.base_model)}, {bundle.max_tokens} "
        f"tokens, trained on data {escape(bundle.data_digest[:19])}. Made again by "
        f"<code>{escape(command)}</code>.</p><p>This page quotes mail: keep it as private as the "
        "mail itself.</p></footer>"
    )
