"""The blocks that a report is made of: tiles, cards, tables. Pure.

What is named as text is escaped here; what is named as HTML must have been.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from trainer.report import columns_of, format_figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Figures = Mapping[str, Any]


def tile(name: str, value: str | float | None, meaning: str) -> str:
    """A figure large, its name above it and what it means below; numbers to three digits."""
    shown = value if isinstance(value, str) else _number(value)
    return (
        f'<div class="card"><span class="name">{escape(name)}</span>'
        f"<b>{escape(shown)}</b><small>{escape(meaning)}</small></div>"
    )


def figure_card(title: str, drawing: str, meaning: str) -> str:
    """A card with a title, a drawing that is already HTML, and what it means."""
    return (
        f'<figure class="card"><h3>{escape(title)}</h3>{drawing}'
        f"<figcaption>{meaning}</figcaption></figure>"
    )


def confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Counts by true label (rows) and given label, shaded by their share of the row."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = []
    for true, (name, row) in enumerate(zip(names, counts, strict=True)):
        total = sum(row)
        cells = "".join(
            f'<td class="{"right" if given == true else "wrong"}" '
            f'style="--share: {count / max(total, 1):.3f}">{count:,}'
            f"<small>{share(count, total)}</small></td>"
            for given, count in enumerate(row)
        )
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return (
        f'<table class="confusion"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def group_table(task: str, what: str, rows: Figures, total: Figures, notes: str) -> str:
    """A card with a task's figures by `what`: corpus, language; a sum where there are several."""
    columns = columns_of(task)
    head = "".join(f"<th>{escape(name)}</th>" for name in (what, *columns.values()))
    body = "".join(
        f"<tr><th>{escape(name)}</th>{_cells(found, columns)}</tr>" for name, found in rows.items()
    )
    if len(rows) > 1:
        body += f'<tr class="sum"><th>all</th>{_cells(total, columns)}</tr>'
    return (
        f'<div class="card scroll"><h3>By {escape(what)}</h3><table>'
        f"<caption>{escape(notes)}</caption><thead><tr>{head}</tr></thead><tbody>{body}"
        "</tbody></table></div>"
    )


def _cells(found: Figures, columns: Iterable[str]) -> str:
    return "".join(f"<td>{escape(format_figure(found.get(key)))}</td>" for key in columns)


def swatch(name: str) -> str:
    """A spot in the colour of this name, for a sentence that explains a drawing."""
    return f'<span class="key" style="background: var(--{name})"></span>'


def share(part: int, whole: int) -> str:
    """`part` of `whole` in percent."""
    return percent(part / whole if whole else None)


def percent(share: float | None) -> str:
    """A share, 0 to 1, in percent."""
    return "–" if share is None else f"{100 * share:.1f}%"


def points(share: float | None) -> str:
    """A difference of shares in percentage points."""
    return "–" if share is None else f"{100 * share:.1f} points"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
