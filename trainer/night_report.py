"""A night as a page that loads nothing and runs nothing, and its curves as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer import html_blocks as blocks
from trainer.curves import calibration_error, curve, reliability
from trainer.night_page import html_page
from trainer.night_plots import draw_calibration, draw_roc, for_page, save_picture
from trainer.scored import joined

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.night_content import NightContent
    from trainer.night_plots import Drawing
    from trainer.night_rules import Pair
    from trainer.scored import Scored

PAGE_FILE = "report.html"


def write_report(folder: Path, content: NightContent) -> list[Path]:
    """Write the page and a PNG of each curve into the folder; the files, the page first.

    The folder is made if need be; what is in it from a report before is written over. Raises
    OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = _drawings(content)
    files = [folder / PAGE_FILE]
    for name, (_, drawing, _) in drawn.items():
        files.append(folder / f"{name}.png")
        save_picture(drawing, files[-1])
    figures = [
        blocks.figure_card(title, for_page(drawing, name, title), meaning)
        for name, (title, drawing, meaning) in drawn.items()
    ]
    page = html_page(content, figures)
    files[0].write_text(page, encoding="utf-8", errors="replace")
    return files


def _drawings(content: NightContent) -> dict[str, tuple[str, Drawing, str]]:
    """Title, drawing and meaning (HTML) of each curve that there are texts for, by file name."""
    if content.sets is None:
        return {}
    found = {}
    lines = f"{blocks.swatch('muted')} before, {blocks.swatch('ham')} after"
    for name, title, scored in (
        ("roc-golden", "ROC of the golden set", content.sets.golden),
        ("roc-corrected", "ROC of the corrected mails held out", content.sets.corrected),
    ):
        drawing, ham, spam = _roc(scored, content.thresholds)
        if drawing is not None:
            meaning = (
                f"How much spam is caught, against how much ham is flagged: {ham:,} ham, "
                f"{spam:,} spam. {lines}; the dots are the thresholds. Shaded: less than one ham."
            )
            found[name] = (title, drawing, meaning)
    known, is_spam = joined(content.sets.golden, content.sets.validation).known()
    if len(is_spam):
        bins = [reliability(scores, is_spam) for scores in known]
        before, after = (blocks.points(calibration_error(each)) for each in bins)
        meaning = (
            "Whether a probability means what it says, on the golden set and on validation. "
            f"{lines}. Promise and outcome are {after} apart on average, before {before}."
        )
        found["calibration"] = ("Calibration", draw_calibration(bins), meaning)
    return found


def _roc(scored: Scored, thresholds: Pair) -> tuple[Drawing | None, int, int]:
    """The drawing, None without both ham and spam; how many there are of each."""
    known, is_spam = scored.known()
    ham, spam = int((~is_spam).sum()), int(is_spam.sum())
    if not ham or not spam:
        return None, ham, spam
    curves = [found for scores in known if (found := curve(scores, is_spam)) is not None]
    points = [
        (float((scores[~is_spam] >= least).mean()), float((scores[is_spam] >= least).mean()))
        for scores, least in zip(known, thresholds, strict=True)
    ]
    return draw_roc(curves, points, ham), ham, spam
