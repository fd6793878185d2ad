"""Curves as SVG that stands inside a page: its letters are text and its colours the page's own.

Drawn with matplotlib's figures alone, without pyplot: no window, no state between plots. Nothing
that came by mail goes in here.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from trainer.curves import Bin, Curve

    LearningCurve = tuple[NDArray[np.int64], NDArray[np.float64]]

LEAST = 1e-4  # where the axis of false positives begins
AIM = 0.001  # false positives that thresholds are chosen for
# matplotlib wants colours, the page has names for them: each stands for a custom property.
INK, MUTED, GRID, HAM, SPAM, PAPER = (f"#00010{number}" for number in range(6))
PROPERTIES = {INK: "ink", MUTED: "muted", GRID: "grid", HAM: "ham", SPAM: "spam", PAPER: "paper"}
STYLE: dict[Any, Any] = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.size": 11,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2,
    "svg.fonttype": "none",  # letters stay letters: the page's font, and text can be searched
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
# The same for a picture that stands alone.
PLAIN = {INK: "#1d2126", MUTED: "#667080", GRID: "#dfe3e8"}
LINES = ("#d0622b", "#2f74c0", "#667080", "#8a5ab5", "#3f8f5b")
LEAST_AREA = 1e-4  # percent; what has no error is drawn here
SIZE = (5.6, 4.2)  # inches of 72 points; the page scales it


def roc(curve: Curve, point: tuple[float, float], ham: int) -> str:
    """Recall over the share of ham that is flagged, on a log axis from 1 in 10,000.

    `point` is (false positive rate, recall) at the threshold. Left of one ham in `ham` nothing
    can be told, and that part is shaded.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _axes()
        axes.set_xscale("log")
        share_axis(axes, "spam caught")
        axes.set_xlim(LEAST, 1)
        axes.set_xlabel("ham flagged as spam")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
        axes.axvspan(LEAST, max(1 / ham, LEAST), color=GRID, alpha=0.45, linewidth=0)
        axes.axvline(AIM, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(
            np.maximum(curve.false_positive_rate, LEAST / 10),
            curve.recall,
            color=SPAM,
            drawstyle="steps-post",
        )
        _mark(axes, max(point[0], LEAST), point[1])
        return page_svg(figure, "roc", "ROC curve")


def precision_recall(curve: Curve, point: tuple[float, float] | None, spam_share: float) -> str:
    """Precision over recall; `point` is (recall, precision) at the threshold, if it flags any."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes()
        share_axis(axes, "flagged mail that is spam")
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel("spam caught")
        axes.axhline(spam_share, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(curve.recall[1:], curve.precision[1:], color=SPAM)
        if point is not None:
            _mark(axes, *point)
        return page_svg(figure, "pr", "Precision and recall")


def reliability_diagram(bins: Sequence[Bin], threshold: float) -> str:
    """Promised probability against the share of spam there was, and how many texts say so."""
    filled = [each for each in bins if each.promised is not None]
    promised = np.array([each.promised for each in filled])
    observed = np.array([each.observed for each in filled])
    errors = np.abs(np.array([[each.low, each.high] for each in filled]).T - observed)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
        share_axis(axes, "really spam")
        axes.set_xlim(0, 1)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.errorbar(promised, observed, errors, color=SPAM, fmt="o", elinewidth=1.2, capsize=3)
        middles = [(each.start + each.end) / 2 for each in bins]
        ham = np.array([each.ham for each in bins])
        spam = np.array([each.spam for each in bins])
        counts.bar(middles, ham, width=0.085, color=HAM)
        counts.bar(middles, spam, width=0.085, bottom=ham, color=SPAM)
        for middle, count in zip(middles, ham + spam, strict=True):
            counts.annotate(
                f"{count}", (middle, count), (0, 2), textcoords="offset points", ha="center",
                fontsize=9, color=MUTED,
            )  # fmt: skip
        for one in (axes, counts):
            one.axvline(threshold, color=INK, linewidth=1)
        counts.margins(y=0.25)
        counts.grid(visible=False)
        counts.set_yticks([])
        counts.spines["left"].set_visible(False)
        counts.set_ylabel("texts")
        counts.set_xlabel("probability of spam as given")
        counts.xaxis.set_major_formatter(PercentFormatter(1))
        return page_svg(figure, "calibration", "Reliability diagram")


def draw_learning(curves: Mapping[str, LearningCurve], title: str, file: Path) -> None:
    """1-ROCA% of several systems over the mails seen so far, on a log axis.

    A picture of its own; `file`'s ending says of what kind (.svg, .png, .pdf). Raises ValueError
    for an ending that is none, OSError if it cannot be written.
    """
    style = {key: PLAIN.get(value, value) for key, value in STYLE.items()}
    with mpl.rc_context({**style, "figure.facecolor": "white"}):
        figure, axes = _axes()
        axes.set_yscale("log")
        axes.set_title(title, loc="left", fontsize=12)
        axes.set_xlabel("mails so far")
        axes.set_ylabel("1-ROCA%")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda percent, _: f"{percent:g}"))
        for colour, (name, (mails, area)) in zip(LINES, curves.items(), strict=False):
            drawn = np.maximum(area, LEAST_AREA)
            axes.plot(mails, drawn, color=colour)
            axes.annotate(
                f" {name}", (mails[-1], drawn[-1]), color=colour, va="center", annotation_clip=False
            )
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    return figure, figure.subplots()


def share_axis(axes: Axes, label: str) -> None:
    """A vertical axis of shares, 0 to 1, with a little air for what lies on its ends."""
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel(label)


def _mark(axes: Axes, across: float, up: float) -> None:
    """Where the bundle's threshold puts it."""
    axes.plot(
        [across], [up], "o", color=INK, markersize=8, markeredgecolor=PAPER, markeredgewidth=1.5,
        clip_on=False, zorder=5,
    )  # fmt: skip


_HEAD = re.compile(r"\A.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_NAME = re.compile(r'(\bid="|xlink:href="#|url\(#)')
_COLOUR = re.compile("|".join(PROPERTIES))


def page_svg(figure: Figure, name: str, title: str) -> str:
    """The figure as an element of a page: own ids, the page's colours, no size of its own."""
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    svg = _METADATA.sub("", _HEAD.sub("", file.getvalue()))
    opening, rest = svg.split(">", 1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    svg = f'{opening} role="img" aria-label="{title}">{rest}'
    svg = _NAME.sub(rf"\g<1>{name}-", svg)
    return _COLOUR.sub(lambda found: f"var(--{PROPERTIES[found[0]]})", svg).strip()
