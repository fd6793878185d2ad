"""The site's figures as pictures, and in a line where no picture can be.

Drawn with matplotlib's figures alone: no window, and no state shared between threads, so every
artist gets its style here and none by matplotlib's global settings. Nothing that came by mail goes
in here.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bot.words import between, count, named, share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from matplotlib.axes import Axes

    from filterd.store.figures import Day, Figures

# Of Okabe and Ito's colours, which people with any kind of colour vision tell apart.
HAM, SPAM, CORRECTED = "#56B4E9", "#D55E00", "#009E73"
UNJUDGED, INK, MUTED, GRID, PAPER = "#B4BAC2", "#1D2126", "#5B6472", "#E3E7EC", "#FFFFFF"
FONT: Final = "DejaVu Sans"
INCHES: Final = (6.4, 3.9)
DPI: Final = 200  # twice what a screen shows of it
# Bars of so few days have room for a number each.
FEW_DAYS: Final = 10
MOST_DATES: Final = 7
PALE: Final = 0.45
BLOCKS: Final = "▁▂▃▄▅▆▇█"


def figures_chart(figures: Figures, highlight: date | None = None) -> bytes:
    """A PNG of 1280 x 780: mail of each day, and below it the share that people put right.

    White, so that it can be read on a dark page too. `highlight`: the day it is about; the others
    are pale.
    """
    days = figures.days
    few = len(days) <= FEW_DAYS
    figure = Figure(figsize=INCHES, dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    left = 0.045 if few else 0.11
    upper = figure.add_axes((left, 0.40, 0.955 - left, 0.40))
    lower = figure.add_axes((left, 0.115, 0.955 - left, 0.135), sharex=upper)
    _head(figure, figures, highlight)
    for axes in (upper, lower):
        _plain(axes)
    if figures.mails:
        pale = [PALE if highlight not in (None, day.date) else 1.0 for day in days]
        _mails(upper, days, pale, few=few)
        _corrections(lower, days, pale, few=few)
    else:
        nothing = _letters(11, MUTED, "center")
        upper.text(0.5, 0.35, "No mail came", transform=upper.transAxes, **nothing)
        upper.set_axis_off()
    _dates(lower, days, highlight, few=few)
    upper.tick_params(labelbottom=False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def figures_alt(figures: Figures) -> str:
    """What the chart shows, in a sentence, for those who do not see it."""
    days = figures.days
    if not days:
        return "A chart without days."
    span = f"{count(len(days), 'day')}, {between(days[0].date, days[-1].date)}"
    if not figures.mails:
        return f"Mail by day, {span}: none came."
    busiest = max(days, key=lambda day: day.mails)
    return (
        f"Mail by day, {span}: {count(figures.mails, 'mail')}, {share(figures.spam_share)} spam, "
        f"{share(figures.corrected_share)} put right by people; "
        f"most on {named(busiest.date)}, {count(busiest.mails, 'mail')}."
    )


def sparkline(values: Sequence[float]) -> str:
    """A character for each value, from nothing to the largest: "▁▃█"."""
    most = max(values, default=0)
    if most <= 0:
        return BLOCKS[0] * len(values)
    top = len(BLOCKS) - 1
    return "".join(BLOCKS[round(top * max(value, 0) / most)] for value in values)


def _head(figure: Figure, figures: Figures, highlight: date | None) -> None:
    """The figures in words, and what the colours mean."""
    chosen = next((day for day in figures.days if day.date == highlight), None)
    about = figures if chosen is None else chosen
    days = figures.days
    span = between(days[0].date, days[-1].date) if days else ""
    when = span if chosen is None else named(chosen.date)
    total = count(about.mails, "mail")
    figure.text(0.045, 0.925, total, **_letters(13, INK), fontweight="bold")
    figure.text(0.955, 0.925, when, **_letters(9.5, MUTED, "right"))
    if not figures.mails:
        return
    right = f"{about.corrected:,}" if about.corrected else "none"
    line = f"{share(about.spam_share)} spam  ·  {right} put right by people"
    if about.corrected:
        line += f" ({share(about.corrected_share)})"
    if about.mails:
        figure.text(0.045, 0.862, line, **_letters(9.5, MUTED))
    meanings = [("ham", HAM), ("spam", SPAM)]
    if figures.unjudged:
        meanings.append(("unjudged", UNJUDGED))
    figure.legend(
        handles=[Patch(color=colour, label=name) for name, colour in meanings],
        loc="center right", bbox_to_anchor=(0.9645, 0.872), ncols=3, frameon=False, borderpad=0,
        handlelength=0.8, handleheight=0.8, handletextpad=0.5, columnspacing=1.2, labelcolor=MUTED,
        prop={"family": FONT, "size": 9.5},
    )  # fmt: skip


def _mails(axes: Axes, days: Sequence[Day], pale: Sequence[float], *, few: bool) -> None:
    """Bars of spam, ham and what was not judged, on top of each other."""
    floor = [0] * len(days)
    parts = (
        ([day.spam for day in days], SPAM),
        ([day.ham for day in days], HAM),
        ([day.unjudged for day in days], UNJUDGED),
    )
    for heights, colour in parts:
        _bars(axes, heights, colour, pale, floor)
        floor = [below + height for below, height in zip(floor, heights, strict=True)]
    axes.set_ylim(0, 1.12 * max(floor))
    if few:
        for place, (total, strength) in enumerate(zip(floor, pale, strict=True)):
            _number(axes, place, total, _short(total), strength)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)


def _corrections(axes: Axes, days: Sequence[Day], pale: Sequence[float], *, few: bool) -> None:
    """The share of each day that people put right."""
    shares = [day.corrected_share or 0.0 for day in days]
    most = max(shares)
    axes.text(0, 1.5, "put right by people", transform=axes.transAxes, **_letters(9.5, MUTED))
    if not most:
        axes.text(1, 1.5, "none", transform=axes.transAxes, **_letters(9.5, MUTED, "right"))
        return
    _bars(axes, shares, CORRECTED, pale, [0] * len(days))
    axes.set_ylim(0, 1.12 * most)
    for place, (part, strength) in enumerate(zip(shares, pale, strict=True)):
        if part and (few or place == shares.index(most)):
            _number(axes, place, part, share(part), strength)


def _bars(
    axes: Axes, heights: Sequence[float], colour: str, pale: Sequence[float], floor: Sequence[float]
) -> None:
    width = 0.66 if len(heights) <= FEW_DAYS else 0.78
    colours = [_mixed(colour, strength) for strength in pale]
    axes.bar(range(len(heights)), heights, width, bottom=floor, color=colours, linewidth=0)


def _number(axes: Axes, place: int, height: float, text: str, strength: float) -> None:
    axes.annotate(
        text, (place, height), (0, 3), textcoords="offset points", annotation_clip=False,
        **_letters(9, INK if strength == 1 else MUTED, "center"),
    )  # fmt: skip


def _dates(axes: Axes, days: Sequence[Day], highlight: date | None, *, few: bool) -> None:
    """A name below each bar, or below some Mondays."""
    # One bar alone is no wider than one of seven.
    air = max((7 - len(days)) / 2, 0) if len(days) == 1 else 0
    axes.set_xlim(-0.5 - air, max(len(days), 1) - 0.5 + air)
    if few:
        places = list(range(len(days)))
        names = [f"{day.date:%a} {day.date.day}" for day in days]
    else:
        mondays = [place for place, day in enumerate(days) if day.date.weekday() == 0]
        places = mondays[:: -(-len(mondays) // MOST_DATES)]
        names = [f"{days[place].date.day} {days[place].date:%b}" for place in places]
    axes.set_xticks(places, names)
    for place, label in zip(places, axes.get_xticklabels(), strict=True):
        told = days[place].date == highlight
        label.set(color=INK if told else MUTED, fontweight="bold" if told else "normal")


def _plain(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set(color=MUTED, linewidth=0.8)
    axes.set_yticks([])
    axes.tick_params(
        length=0, pad=5, labelsize=9, labelcolor=MUTED, labelfontfamily=FONT, grid_alpha=1
    )


def _letters(points: float, colour: str, align: str = "left") -> dict[str, Any]:
    return {"family": FONT, "fontsize": points, "color": colour, "ha": align}


def _mixed(colour: str, strength: float) -> tuple[float, ...]:
    """The colour on the paper; not transparent, or the lines behind would show."""
    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


def _short(number: float) -> str:
    for least, unit, letter in ((999_500, 1e6, "M"), (9_999.5, 1e3, "k")):
        if number >= least:
            return f"{number / unit:.3g}{letter}"
    return f"{number:,.0f}"
