import threading
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.errors import CorporaError
from trainer.stream import AHEAD, arrival_index, in_order, read_index


@pytest.fixture
def index(tmp_path):
    """A function that writes full/index, beside data/ with two mails, and reads it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "data" / "inmail.1").write_bytes(b"Subject: one\n\none\n")
    (tmp_path / "data" / "in mail 2").write_bytes(b"Subject: two\n\ntwo\n")

    def read(content):
        file = tmp_path / "full" / "index"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_index(file)

    return read


def error_of(read, content):
    with pytest.raises(CorporaError) as error:
        read(content)
    return str(error.value).rpartition("full/")[2]


def test_paths_are_relative_to_the_index_as_in_trec07(index):
    (entry,) = index("spam ../data/inmail.1\n")
    assert (entry.label, entry.path) == ("spam", "../data/inmail.1")
    assert entry.read() == b"Subject: one\n\none\n"


def test_labels_may_be_written_in_any_case_and_blank_lines_are_skipped(index):
    entries = index("HAM ../data/inmail.1\n\n  \t\nSpam ../data/inmail.1")
    assert [(entry.line, entry.label) for entry in entries] == [(1, "ham"), (4, "spam")]


@pytest.mark.parametrize("content", ["ham\t../data/inmail.1\n", "ham   ../data/inmail.1  \r\n"])
def test_any_white_space_may_stand_between_label_and_path(index, content):
    assert index(content)[0].read() == b"Subject: one\n\none\n"


def test_a_path_may_hold_spaces(index):
    assert index("ham ../data/in mail 2\n")[0].read() == b"Subject: two\n\ntwo\n"


def test_a_path_need_not_be_utf8(index, tmp_path):
    name = b"caf\xe9"
    (tmp_path / "data" / name.decode("utf-8", "surrogateescape")).write_bytes(b"mail")
    assert index(b"ham ../data/" + name + b"\n")[0].read() == b"mail"


@pytest.mark.parametrize("line", ["maybe ../data/inmail.1", "spam", "spam ", "../data/inmail.1"])
def test_a_line_that_is_none_is_named_with_its_number(index, line):
    said = error_of(index, f"ham ../data/inmail.1\n{line}\n")
    assert said.startswith("index:2: needs 'spam PATH' or 'ham PATH', has '")


def test_a_missing_file_is_named_before_anything_is_judged(index):
    said = error_of(index, "ham ../data/inmail.1\nspam ../data/inmail.9\n")
    assert said == "index:2: no file ../data/inmail.9 beside the index"


def test_a_folder_is_no_message(index):
    assert error_of(index, "ham ../data\n") == "index:1: no file ../data beside the index"


def test_a_file_that_goes_before_its_turn_is_named(index, tmp_path):
    (entry,) = index("ham ../data/inmail.1\n")
    (tmp_path / "data" / "inmail.1").unlink()
    with pytest.raises(CorporaError, match=r"index:1: \.\./data/inmail\.1 cannot be read: No such"):
        entry.read()


def test_an_index_without_messages_says_what_a_line_is(index):
    assert error_of(index, "\n\n").startswith("index: no message in it; a line is")


def test_an_index_that_is_not_there_is_an_error_of_ours(tmp_path):
    with pytest.raises(CorporaError, match="cannot be read: No such file"):
        read_index(tmp_path / "index")


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=200))
def test_whatever_the_index_holds_it_is_read_or_refused(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("index") / "index"
    file.write_bytes(content)
    with suppress(CorporaError):
        read_index(file)


def test_results_come_in_the_order_of_the_items_whoever_is_done_first():
    gates = [threading.Event() for _ in range(4)]

    def work(number):
        assert number == 3 or gates[number + 1].wait(30)  # each waits for the one after it
        gates[number].set()
        return number

    assert list(in_order(work, range(4), threads=4)) == [0, 1, 2, 3]


def test_items_are_drawn_only_a_few_ahead_of_what_was_taken():
    drawn = []

    def items():
        for number in range(1000):
            drawn.append(number)
            yield number

    results = in_order(lambda number: number, items(), threads=2)
    assert next(results) == 0
    assert len(drawn) <= 2 * AHEAD + 1
    results.close()


def test_an_error_comes_in_its_turn():
    def work(number):
        if number == 2:
            raise CorporaError("the third")
        return number

    results = in_order(work, range(9), threads=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(CorporaError, match="the third"):
        next(results)


def test_an_index_is_in_the_order_of_arrival(tmp_path):
    dates = {
        "spam/1.eml": "Received: by a; Tue, 4 Jan 2022 10:00:00 +0100\nDate: Mon, 1 Jan 2001 00:00:00 +0000",
        "ham/1.eml": "Date: Tue, 4 Jan 2022 08:30:00 +0000",
        "ham/2.eml": "Date: Tue, 4 Jan 2022 09:30:00 -0000",
        "spam/2.eml": "Subject: no date at all",
    }
    for name, head in dates.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{head}\n\ntext\n")
    assert arrival_index(tmp_path) == [
        "spam spam/2.eml",
        "ham ham/1.eml",
        "spam spam/1.eml",
        "ham ham/2.eml",
    ]


def test_a_folder_without_mail_makes_no_index(tmp_path):
    with pytest.raises(CorporaError, match="no message in its folders"):
        arrival_index(tmp_path)
