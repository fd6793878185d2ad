"""Curves before and after a night, for its page and as pictures. Nothing that came by mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from trainer.plots import (
    AIM,
    GRID,
    HAM,
    LEAST,
    MUTED,
    PAPER,
    PLAIN,
    SIZE,
    SPAM,
    STYLE,
    page_svg,
    share_axis,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from trainer.curves import Bin, Curve

    Colour = Callable[[str], str]
    Drawing = Callable[[Colour], Figure]

# Colours of a picture that stands alone; in the page they are the page's own.
PICTURE = {**PLAIN, HAM: "#2f74c0", SPAM: "#d0622b", PAPER: "#ffffff"}
NAMES = ("before", "after")
DASHES = (0, (4, 3))


def draw_roc(curves: Sequence[Curve], points: Sequence[tuple[float, float]], ham: int) -> Drawing:
    """Recall over the share of ham flagged, before and after; a dot at each one's threshold.

    `points` are (false positive rate, recall). Left of one ham in `ham` nothing can be told, and
    that part is shaded.
    """

    def draw(colour: Colour) -> Figure:
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        share_axis(axes, "spam caught")
        axes.set_xlim(LEAST, 1)
        axes.set_xlabel("ham flagged as spam")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
        axes.axvspan(LEAST, max(1 / ham, LEAST), color=colour(GRID), alpha=0.45, linewidth=0)
        axes.axvline(AIM, color=colour(MUTED), linewidth=1, linestyle=DASHES)
        for name, curve, point in zip(NAMES, curves, points, strict=True):
            own = _own(name, colour)
            axes.plot(
                np.maximum(curve.false_positive_rate, LEAST / 10),
                curve.recall,
                color=own,
                drawstyle="steps-post",
                linestyle=DASHES if name == "before" else "-",
                label=name,
            )
            axes.plot(
                [max(point[0], LEAST)], [point[1]], "o", color=own, markersize=8, clip_on=False,
                markeredgecolor=colour(PAPER), markeredgewidth=1.5, zorder=5,
            )  # fmt: skip
        _legend(axes, "lower right")
        return figure

    return draw


def draw_calibration(bins: Sequence[Sequence[Bin]]) -> Drawing:
    """Promised probability against the share of spam there was, before and after."""

    def draw(colour: Colour) -> Figure:
        figure = Figure(figsize=SIZE, layout="constrained")
        axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
        share_axis(axes, "really spam")
        axes.set_xlim(0, 1)
        axes.plot([0, 1], [0, 1], color=colour(MUTED), linewidth=1, linestyle=DASHES)
        for number, (name, found) in enumerate(zip(NAMES, bins, strict=True)):
            own = _own(name, colour)
            filled = [each for each in found if each.promised is not None]
            observed = np.array([each.observed for each in filled])
            ends = np.array([[each.low, each.high] for each in filled]).reshape(-1, 2).T
            axes.errorbar(
                [each.promised for each in filled], observed, np.abs(ends - observed), color=own,
                fmt="so"[number], markersize=5, elinewidth=1.2, capsize=3, label=name,
                alpha=0.75 if name == "before" else 1,
            )  # fmt: skip
            _count(counts, found, 0.044 * (2 * number - 1) / 2, own)
        _legend(axes, "upper left")
        counts.margins(y=0.25)
        counts.grid(visible=False)
        counts.set_yticks([])
        counts.spines["left"].set_visible(False)
        counts.set_ylabel("texts")
        counts.set_xlabel("probability of spam as given")
        counts.xaxis.set_major_formatter(PercentFormatter(1))
        return figure

    return draw


def for_page(drawing: Drawing, name: str, title: str) -> str:
    """The drawing as an element of a page, in the page's colours; `name` begins its ids."""
    with mpl.rc_context(STYLE):
        return page_svg(drawing(lambda colour: colour), name, title)


def save_picture(drawing: Drawing, file: Path) -> None:
    """The drawing as a PNG on white. Raises OSError."""
    style = {key: PICTURE.get(value, value) for key, value in STYLE.items()}
    with mpl.rc_context({**style, "figure.facecolor": "white"}):
        drawing(PICTURE.__getitem__).savefig(file, format="png", dpi=150)


def _own(name: str, colour: Colour) -> str:
    return colour(MUTED if name == "before" else HAM)


def _legend(axes: Axes, place: Literal["lower right", "upper left"]) -> None:
    axes.legend(loc=place, frameon=False, handlelength=2.4)


def _count(axes: Axes, bins: Sequence[Bin], shift: float, colour: str) -> None:
    middles = [(each.start + each.end) / 2 + shift for each in bins]
    totals = [each.ham + each.spam for each in bins]
    axes.bar(middles, totals, width=0.04, color=colour)
    for middle, total in zip(middles, totals, strict=True):
        axes.annotate(
            f"{total}" if total else "", (middle, total), (0, 2), textcoords="offset points",
            ha="center", fontsize=8, color=colour,
        )  # fmt: skip
