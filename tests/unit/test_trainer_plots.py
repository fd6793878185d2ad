import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from trainer.curves import curve, reliability
from trainer.plots import draw_learning, precision_recall, reliability_diagram, roc

SCORES = np.linspace(0, 1, 200)
IS_SPAM = SCORES + np.tile([0.3, -0.3, 0.1, 0], 50) > 0.5
CURVE = curve(SCORES, IS_SPAM)


@pytest.fixture(scope="module")
def drawings():
    return {
        "roc": roc(CURVE, (0.0, 0.4), int((~IS_SPAM).sum())),
        "pr": precision_recall(CURVE, (0.4, 0.9), 0.5),
        "calibration": reliability_diagram(reliability(SCORES, IS_SPAM), 0.9),
    }


def words(svg):
    return [text for text in ET.fromstring(svg).itertext() if text.strip()]  # noqa: S314 - ours


def test_axes_are_labelled_in_words(drawings):
    assert {"ham flagged as spam", "spam caught"} <= set(words(drawings["roc"]))
    assert {"spam caught", "flagged mail that is spam"} <= set(words(drawings["pr"]))
    assert {"probability of spam as given", "really spam"} <= set(words(drawings["calibration"]))


def test_the_roc_axis_is_logarithmic_from_one_in_ten_thousand(drawings):
    ticks = [word for word in words(drawings["roc"]) if word.endswith("%")]
    assert ticks[:5] == ["0.01%", "0.1%", "1%", "10%", "100%"]


def test_the_reliability_diagram_says_how_many_texts_are_in_each_bin(drawings):
    counts = [int(word) for word in words(drawings["calibration"]) if word.isdigit()]
    assert sum(counts) == 200


def test_colours_are_the_pages_own(drawings):
    for svg in drawings.values():
        assert "var(--spam)" in svg
        assert not re.findall(r"#[0-9a-f]{6}", svg)


def test_no_two_drawings_share_an_id(drawings):
    ids = [name for svg in drawings.values() for name in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))


def test_what_a_drawing_refers_to_is_in_it(drawings):
    for svg in drawings.values():
        ids = set(re.findall(r'\bid="([^"]+)"', svg))
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)[0]) - {""} <= ids


def test_the_same_figures_give_the_same_drawing(drawings):
    again = precision_recall(CURVE, (0.4, 0.9), 0.5)
    assert again == drawings["pr"]


def test_a_threshold_that_flags_nothing_has_no_point():
    assert precision_recall(CURVE, None, 0.5).startswith("<svg ")


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_learning_curves_are_a_picture_that_stands_alone(tmp_path, ending):
    mails, area = np.array([10, 20, 30]), np.array([5.0, 0.5, 0.0])
    file = tmp_path / f"curve.{ending}"
    draw_learning({"filterd": (mails, area), "another": (mails, area + 1)}, "Error so far", file)
    if ending == "svg":
        svg = file.read_text()
        assert {"Error so far", "mails so far", "1-ROCA%"} <= set(words(svg))
        assert "var(--" not in svg
        assert "#0001" not in svg
    else:
        assert file.read_bytes().startswith(b"\x89PNG")
