"""A wall clock that was put forward is not believed for a day; any other is."""

import pytest

from filterd.clock import DAY, ClockWatch


class Clocks:
    """What the wall shows, and how long it really is."""

    def __init__(self):
        self.wall = 1_700_000_000.0
        self.steady = 500.0

    def pass_by(self, seconds):
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def watch(clocks):
    return ClockWatch(lambda: clocks.wall, lambda: clocks.steady)


def test_a_clock_that_runs_is_believed(clocks, watch):
    for _ in range(3):
        clocks.pass_by(40 * DAY)
        assert watch.seconds_of_doubt() == 0


@pytest.mark.parametrize("jump", [3600.0, -3600.0, -3650 * DAY, DAY - 1])
def test_a_small_step_or_one_back_is_believed(clocks, watch, jump):
    clocks.wall += jump
    assert watch.seconds_of_doubt() == 0


@pytest.mark.scenario(
    "F39",
    "the wall clock is put forward by ten years",
    "nothing is removed by its age for a day; then it is believed",
)
def test_a_clock_that_was_put_forward_is_doubted_for_a_day(clocks, watch):
    clocks.wall += 3650 * DAY
    assert watch.seconds_of_doubt() == DAY
    clocks.pass_by(DAY / 2)
    assert watch.seconds_of_doubt() == DAY / 2
    clocks.pass_by(DAY / 2)
    assert watch.seconds_of_doubt() == 0


def test_one_that_is_put_right_and_forward_again_is_doubted_again(clocks, watch):
    clocks.wall += 3650 * DAY
    watch.seconds_of_doubt()
    clocks.wall -= 3650 * DAY
    watch.seconds_of_doubt()
    clocks.pass_by(2 * DAY)
    assert watch.seconds_of_doubt() == 0
    clocks.wall += 3650 * DAY
    assert watch.seconds_of_doubt() == DAY


def test_the_real_clocks_agree():
    assert ClockWatch().seconds_of_doubt() == 0
