"""The page of a night, made of blocks. Pure.

It holds no text of a mail but, where the site keeps them, subjects of mails whose verdict changed.
All that is not ours enters through `escape` alone.
"""

from __future__ import annotations

from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING

from trainer import html_blocks as blocks
from trainer.html_report import PAGE
from trainer.judge import shorten
from trainer.night_words import amount, lasting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.night_content import Change, NightContent
    from trainer.night_rules import Pair, Rule
    from trainer.scored import ScoredSets

MOST_CHANGES = 200
TITLES = {
    "golden_ham": "Golden set: good mail flagged",
    "newest_ham": "Newest labelled: good mail flagged",
    "newest_unlabelled": "Newest unlabelled: good mail flagged",
    "validation_ham": "Validation: good mail flagged",
    "corrected": "Corrected mails held out: judged right",
    "surprise": "Labels held out: mean log loss",
    "spam_caught": "Spam caught",
    "missed_area": "1-ROCA% of spam",
    "int8_area": "int8: area lost",
    "int8_verdicts": "int8: verdicts changed",
    "latency": "Milliseconds for a text",
    "size": "Size in bytes",
    "reproduced": "Golden scores reproduced",
}

TILES = {
    "golden_ham": "golden good mail flagged",
    "corrected": "corrections right",
    "spam_caught": "spam caught",
    "missed_area": "1-ROCA%",
}
SHARES = frozenset({"spam_caught"})


def html_page(content: NightContent, figures: Sequence[str]) -> str:
    """The page, whole; `figures` are cards that are already HTML."""
    parts = [_header(content), _tiles(content)]
    if content.rules:
        parts.append(_gate(content.rules))
    if content.sets is not None:
        cards = [*figures, _verdicts(content.sets, content.thresholds)]
        parts.append(f'<h2>Before and after</h2><div class="pair">{"".join(cards)}</div>')
        parts.append(_changes(content.changes))
    parts += [_labels(content), _times(content), _footer(content)]
    return PAGE.substitute(title=f"filterd: night {content.run}", body="\n".join(parts))


def _header(content: NightContent) -> str:
    bundles = f"{escape(content.champion)} served"
    if content.candidate:
        bundles += f", {escape(content.candidate)} was the candidate"
        if content.share < 1:
            bundles += f": {content.share:.0%} of the way from it to what was learnt"
    kind = "passed" if content.state == "promoted" else "failed"
    reason = f"<p>{escape(content.reason)}.</p>" if content.reason else ""
    return (
        f'<h1>Run {content.run}: <span class="{kind}">{escape(content.state)}</span></h1>'
        f'<p class="quiet">{content.made:%d %B %Y, %H:%M %Z}. {bundles}.</p>{reason}'
    )


def _tiles(content: NightContent) -> str:
    rules = {rule.name: rule for rule in content.rules}
    tiles = []
    for name, title in TILES.items():
        rule = rules.get(name)
        if rule is not None and rule.figure is not None:
            shown = blocks.percent(rule.figure) if name in SHARES else _figure(rule.figure)
            tiles.append(blocks.tile(title, shown, rule.text))
    left_out = f"{amount(content.left_out, 'label')} left out, with reasons below"
    tiles += [
        blocks.tile("labels used", f"{content.used:,}", left_out),
        blocks.tile("duration", lasting(content.duration), "all stages together"),
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _gate(rules: Sequence[Rule]) -> str:
    rows = []
    for rule in rules:
        kind, mark = ("passed", "✓ passed") if rule.passed else ("failed", "✗ refused")
        refuses = "" if rule.passed else ' class="refuses"'
        title = TITLES.get(rule.name, rule.name.replace("f1_", "Macro-F1 of "))
        rows.append(
            f'<tr{refuses}><td>{escape(title)}</td><td class="{kind}">{mark}</td>'
            f"<td>{_figure(rule.figure)}</td><td>{_figure(rule.limit)}</td>"
            f'<td class="words">{escape(rule.text)}</td></tr>'
        )
    return (
        '<h2>The gate</h2><div class="card scroll"><table><thead><tr><th>rule</th><th></th>'
        '<th>figure</th><th>limit</th><th class="words"></th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _figure(figure: float | None) -> str:
    """A rule's figure: counts and large numbers whole, small ones to four digits."""
    if figure is None:
        return "–"
    return f"{figure:,.0f}" if isinstance(figure, int) or figure >= 1000 else f"{figure:.4g}"


def _verdicts(sets: ScoredSets, thresholds: Pair) -> str:
    rows = []
    for place in fields(sets):
        known, is_spam = getattr(sets, place.name).known()
        if not len(is_spam):
            continue
        pairs = zip(known, thresholds, strict=True)
        flagged = [scores >= least for scores, least in pairs]
        blamed = [int(each[~is_spam].sum()) for each in flagged]
        caught = [int(each[is_spam].sum()) for each in flagged]
        spam = int(is_spam.sum())
        cells = (len(is_spam) - spam, *blamed, spam, *caught)
        numbers = "".join(f"<td>{count:,}</td>" for count in cells)
        rows.append(f"<tr><td>{escape(place.name)}</td>{numbers}</tr>")
    head = "".join(
        f"<th>{name}</th>" for name in ("ham", "flagged", "now", "spam", "caught", "now")
    )
    return blocks.figure_card(
        "Verdicts at the thresholds",
        f"<table><thead><tr><th>set</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>",
        "Labelled mails of each set: ham and how much of it was flagged before and is now; spam "
        "and how much of it was caught before and is now.",
    )


def _changes(changes: Sequence[Change]) -> str:
    if not changes:
        return "<h2>Changed verdicts</h2><p>No mail of these sets changed its verdict.</p>"
    has_subjects = any(each.subject for each in changes)
    head = '<th class="words">subject</th>' if has_subjects else ""
    rows = []
    for each in changes[:MOST_CHANGES]:
        label = each.label or "–"
        right = each.label and (each.label == "spam") == each.is_flagged
        kind = "" if not each.label else ' class="passed"' if right else ' class="failed"'
        subject = (
            f'<td class="words"><bdi>{escape(shorten(each.subject))}</bdi></td>'
            if has_subjects
            else ""
        )
        rows.append(
            f"<tr><td><code>{escape(each.id)}</code></td><td>{escape(each.place)}</td>"
            f"<td>{escape(label)}</td><td>{each.before:.4f}</td><td>{each.after:.4f}</td>"
            f"<td{kind}>{'spam' if each.is_flagged else 'ham'}</td>{subject}</tr>"
        )
    over = len(changes) - MOST_CHANGES
    rest = f"<caption>and {over:,} more</caption>" if over > 0 else ""
    return (
        f"<h2>Changed verdicts</h2><p>{amount(len(changes), 'mail')} that only one of both takes "
        "for spam. Green: the label says so, too.</p>"
        f'<div class="card scroll"><table>{rest}<thead><tr><th>mail</th><th>set</th><th>label</th>'
        f"<th>before</th><th>after</th><th>now</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _labels(content: NightContent) -> str:
    reasons = sorted({reason for each in content.labels for reason in each.left_out})
    head = "".join(f"<th>{escape(reason)}</th>" for reason in reasons)
    rows = "".join(
        f"<tr><td><bdi>{escape(shorten(each.labeller))}</bdi></td><td>{each.used:,}</td>"
        + "".join(f"<td>{each.left_out.get(reason, 0):,}</td>" for reason in reasons)
        + "</tr>"
        for each in content.labels
    )
    if not rows:
        return "<h2>Labels</h2><p>No label was used or left out.</p>"
    return (
        '<h2>Labels</h2><div class="card scroll"><table><caption>How many of each person\'s labels '
        "were trained on, and how many were left out and why.</caption><thead><tr><th>by</th>"
        f"<th>used</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _times(content: NightContent) -> str:
    if not content.seconds:
        return ""
    total = max(content.duration, 1e-9)
    rows = "".join(
        f"<tr><td>{escape(stage)}</td><td>{escape(lasting(seconds))}</td>"
        f"<td>{blocks.percent(seconds / total)}</td>"
        f'<td class="words"><span class="bar" style="width: {100 * seconds / total:.1f}%"></span>'
        "</td></tr>"
        for stage, seconds in content.seconds.items()
    )
    return (
        '<h2>Time</h2><div class="card scroll"><table><thead><tr><th>stage</th><th>took</th>'
        f"<th>share</th><th></th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _footer(content: NightContent) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in content.versions.items())
    digest = f"Data {content.data_digest}. " if content.data_digest else ""
    return (
        f"<footer class=quiet><p><code>{escape(digest)}</code>{escape(versions)}</p><p>This page "
        "names mails and those who labelled them: keep it as private as the mail itself.</p>"
        "</footer>"
    )
