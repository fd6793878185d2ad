import pytest

from filterd.admission import ALWAYS, AT_DATA, AT_MAIL, HEARD, Admission

DEADLINE = 5.0


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def admission(clock):
    return Admission(DEADLINE, clock)


def judge(admission, clock, count, seconds):
    """So many, one after the other, each of which takes so long."""
    for _ in range(count):
        admission.enter()
        clock.now += seconds
        admission.leave(done=True)


def fill(admission, count):
    for _ in range(count):
        admission.enter()


def in_hand_until_refused(admission, asked):
    for count in range(100_000):
        if not asked():
            return count
        admission.enter()
    raise AssertionError("never refused")


def test_nobody_waits_where_nothing_is_in_hand(admission):
    assert admission.wait == 0
    assert admission.may_begin()
    assert admission.may_enter()
    assert admission.may_connect(1000)


def test_as_many_are_taken_as_can_be_judged_within_a_part_of_the_deadline(admission, clock):
    judge(admission, clock, 500, 0.01)
    taken = in_hand_until_refused(admission, admission.may_begin)
    assert taken == pytest.approx(AT_MAIL * DEADLINE / 0.01, rel=0.02)


def test_a_slower_machine_takes_fewer(admission, clock):
    judge(admission, clock, 500, 0.1)
    taken = in_hand_until_refused(admission, admission.may_begin)
    assert taken == pytest.approx(AT_MAIL * DEADLINE / 0.1, rel=0.1)


def test_content_that_has_come_is_refused_later_than_what_begins(admission, clock):
    judge(admission, clock, 500, 0.01)
    taken = in_hand_until_refused(admission, admission.may_enter)
    assert taken == pytest.approx(AT_DATA * DEADLINE / 0.01, rel=0.02)
    assert not admission.may_begin()


def test_what_is_judged_beside_each_other_counts_by_the_time_between(admission, clock):
    fill(admission, 100)
    for _ in range(1000):
        clock.now += 0.02
        admission.leave(done=True)
        admission.enter()
    assert admission.wait == pytest.approx(100 * 0.02, rel=0.02)


def test_there_is_room_again_as_soon_as_enough_are_done(admission, clock):
    judge(admission, clock, 500, 0.01)
    taken = in_hand_until_refused(admission, admission.may_begin)
    clock.now += 0.01
    for _ in range(5):
        admission.leave(done=True)
    assert admission.may_begin()
    assert taken > ALWAYS


def test_an_idle_hour_is_no_sign_of_slowness(admission, clock):
    judge(admission, clock, 500, 0.01)
    clock.now += 3600
    judge(admission, clock, 1, 0.01)
    fill(admission, ALWAYS)
    assert admission.wait == pytest.approx(ALWAYS * 0.01, rel=0.02)


def test_what_was_given_up_does_not_count_as_time_that_one_takes(admission, clock):
    judge(admission, clock, 500, 0.01)
    admission.enter()
    clock.now += DEADLINE
    admission.leave(done=False)
    fill(admission, ALWAYS)
    assert admission.wait == pytest.approx(ALWAYS * 0.01, rel=0.02)


def test_one_very_slow_mail_is_soon_forgotten(admission, clock):
    judge(admission, clock, 500, 0.01)
    judge(admission, clock, 1, 4.0)
    judge(admission, clock, 200, 0.01)
    taken = in_hand_until_refused(admission, admission.may_begin)
    assert taken > 0.9 * AT_MAIL * DEADLINE / 0.01


def test_a_few_are_taken_however_slow_it_was(admission, clock):
    judge(admission, clock, 500, 4.9)
    assert in_hand_until_refused(admission, admission.may_begin) == ALWAYS


def test_newcomers_are_refused_while_nothing_moves(admission, clock):
    judge(admission, clock, 500, 0.001)
    fill(admission, 2 * ALWAYS)
    assert admission.may_begin()
    clock.now += AT_MAIL * DEADLINE + 0.1
    assert not admission.may_begin()


def test_judging_that_is_broken_is_left_to_on_failure(admission, clock):
    judge(admission, clock, 500, 0.01)
    in_hand_until_refused(admission, admission.may_enter)
    clock.now += DEADLINE + 0.1
    assert admission.may_begin()
    assert admission.may_enter()
    assert admission.may_connect(1000)


def test_a_client_is_heard_at_connect_while_few_are_there_to_be_refused(admission, clock):
    judge(admission, clock, 500, 0.01)
    taken = in_hand_until_refused(admission, admission.may_begin)
    assert admission.may_connect(taken + HEARD - 1)
    assert not admission.may_connect(taken + HEARD)
