import pytest
from tiny_bundle import make_tiny_bundle

from filterd.errors import MessageError
from filterd.model.encoder import Encoder
from filterd.policy import Policy
from filterd.scanning import find_messages, scan_messages

SPAM = b"From: a@example.org\nSubject: lottery\n\nyou won the lottery\n"
HAM = b"From: b@example.org\nSubject: minutes\n\nthe minutes of the meeting\n"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder(make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


def test_folders_are_walked_in_the_order_of_names_and_other_files_passed_over(tmp_path):
    for name in ("b.eml", "a/2.eml", "a/1", "notes.md", ".hidden", "data.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(HAM)
    names = [source.name.removeprefix(f"{tmp_path}/") for source in find_messages([tmp_path])]
    assert names == ["b.eml", "a/1", "a/2.eml"]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(tmp_path):
    path = tmp_path / "mail.md"
    path.write_bytes(HAM)
    assert [source.path for source in find_messages([path])] == [path]


def test_an_mbox_is_taken_apart(tmp_path):
    path = tmp_path / "box"
    quoted = HAM.replace(b"the minutes", b"so\nFrom now on the minutes")
    path.write_bytes(b"From a Mon\n" + SPAM + b"\nFrom b Tue\n" + quoted)
    sources = find_messages([path])
    assert [source.name for source in sources] == [f"{path}#1", f"{path}#2"]
    assert [source.read() for source in sources] == [SPAM + b"\n", quoted]


def test_a_single_message_with_a_from_line_loses_just_that(tmp_path):
    path = tmp_path / "one"
    path.write_bytes(b"From a Mon\r\n" + SPAM)
    (source,) = find_messages([path])
    assert (source.name, source.read()) == (str(path), SPAM)


def test_a_path_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(MessageError, match="absent: no such file"):
        find_messages([tmp_path / "absent"])


def test_results_come_in_input_order_and_say_what_could_not_be_read(tmp_path, encoder):
    for number in range(80):
        (tmp_path / f"{number:03}.eml").write_bytes(SPAM if number % 3 == 0 else HAM)
    sources = find_messages([tmp_path])
    (tmp_path / "041.eml").unlink()
    results = list(scan_messages(sources, encoder, Policy()))
    assert [name for name, _, _ in results] == [source.name for source in sources]
    for number, (_, judged, error) in enumerate(results):
        if number == 41:
            assert judged is None
            assert "No such file" in error
        else:
            assert error is None
            assert judged.verdict == ("spam" if number % 3 == 0 else "ham")
