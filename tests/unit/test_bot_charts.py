"""Charts: that they are drawn for any figures, and what is said in their place."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bot.charts import (
    CORRECTED,
    HAM,
    SPAM,
    UNJUDGED,
    figures_alt,
    figures_chart,
    sparkline,
)
from filterd.store.figures import Day, Figures

LAST = date(2026, 11, 26)


def figures_of(*days):
    first = LAST - timedelta(days=len(days) - 1)
    return Figures(
        tuple(Day(first + timedelta(days=place), **day) for place, day in enumerate(days))
    )


def usual(number):
    return figures_of(
        *(
            {
                "mails": 900 + 7 * n,
                "spam": 300,
                "unjudged": n % 2,
                "corrected": n % 5,
                "labelled": 9,
            }
            for n in range(number)
        )
    )


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def area(png, colour):
    """How many pixels have exactly this colour."""
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return int((pixels(png) == wanted).all(axis=-1).sum())


@pytest.mark.parametrize("number", [0, 1, 2, 7, 10, 11, 30, 90, 366])
def test_any_number_of_days_makes_a_picture_of_the_same_size(number):
    assert pixels(figures_chart(usual(number))).shape == (780, 1280, 3)


def test_without_any_mail_there_are_no_bars():
    png = figures_chart(figures_of(*({} for _ in range(7))))
    assert area(png, HAM) + area(png, SPAM) + area(png, CORRECTED) == 0


def test_bars_are_as_large_as_their_figures():
    png = figures_chart(figures_of(*({"mails": 400, "spam": 100} for _ in range(7))))
    key = 24 * 24  # the square that says what a colour means
    assert (area(png, HAM) - key) / (area(png, SPAM) - key) == pytest.approx(3, rel=0.03)


def test_only_what_there_was_has_a_colour():
    png = figures_chart(figures_of({"mails": 10, "spam": 5}, {"mails": 10, "spam": 5}))
    assert area(png, UNJUDGED) == area(png, CORRECTED) == 0
    png = figures_chart(figures_of({"mails": 10, "unjudged": 3, "corrected": 1, "labelled": 1}))
    assert area(png, UNJUDGED) > 0
    assert area(png, CORRECTED) > 0


def test_the_day_it_is_about_stands_out():
    week = usual(7)
    all_days, one_day = figures_chart(week), figures_chart(week, LAST)
    assert 0.05 < area(one_day, HAM) / area(all_days, HAM) < 0.25
    assert figures_chart(week, LAST - timedelta(days=99)) != all_days


def test_it_is_white_at_its_edges_for_dark_pages():
    picture = pixels(figures_chart(usual(90)))
    for edge in (picture[:20], picture[-20:], picture[:, :20], picture[:, -20:]):
        assert (edge == 255).all()


def test_threads_draw_the_same_as_one():
    week = usual(7)
    alone = figures_chart(week)
    with ThreadPoolExecutor(4) as threads:
        drawn = list(threads.map(lambda _: figures_chart(week), range(8)))
    assert set(drawn) == {alone}


def test_it_says_in_a_sentence_what_it_shows():
    week = figures_of(
        *({"mails": 100, "spam": 40} for _ in range(6)),
        {"mails": 1400, "spam": 260, "corrected": 4, "labelled": 9},
    )
    assert figures_alt(week) == (
        "Mail by day, 7 days, 20–26 November: 2,000 mails, 25.0% spam, 0.2% put right by people; "
        "most on Thursday 26 November, 1,400 mails."
    )
    assert figures_alt(figures_of({})) == "Mail by day, 1 day, 26 November: none came."
    assert figures_alt(Figures(())) == "A chart without days."


@given(st.lists(st.floats(-1e9, 1e9), max_size=100))
def test_a_sparkline_has_a_character_for_each_value(values):
    assert len(sparkline(values)) == len(values)
    assert set(sparkline(values)) <= set("▁▂▃▄▅▆▇█")


def test_a_sparkline_goes_from_nothing_to_the_largest():
    assert sparkline(range(8)) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""
