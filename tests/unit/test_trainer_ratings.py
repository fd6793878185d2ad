import io
import json
import tarfile

import pytest

from trainer import ratings
from trainer.errors import PackageError
from trainer.ratings import ARCHIVE, CORPORA, fetch_ratings, label_of, read_package, read_ratings


def make_archive(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def make_package(lines=b"1\t2.7\tSuch a good day &amp; so lucky.\n2\t0.1\tOff to the shop.\n"):
    inner = make_archive({f"study/{name}": lines for name, _ in CORPORA.values()})
    return make_archive({"package-1/setup.py": b"", f"package-1/more/{ARCHIVE}": inner})


def test_rated_sentences_are_taken_out_of_the_archive_within_the_package():
    contents = read_package(make_package())
    assert set(contents) == {name for name, _ in CORPORA.values()}
    assert list(read_ratings(contents["tweets_GroundTruth.txt"], 0.7)) == [
        {"text": "Such a good day & so lucky.", "label": "positive"},
        {"text": "Off to the shop.", "label": "neutral"},
    ]


@pytest.mark.parametrize(
    ("rating", "label"),
    [
        (-3.9, "negative"),
        (-0.7, "negative"),
        (-0.69, "neutral"),
        (0.69, "neutral"),
        (0.7, "positive"),
    ],
)
def test_a_rating_is_a_label_from_the_least_one_on(rating, label):
    assert label_of(rating, 0.7) == label


def test_removed_links_read_like_those_of_the_other_tweets():
    (found,) = read_ratings("7\t0.0\tlook http://url_removed now\n", 0.7)
    assert found["text"] == "look http now"


def test_a_package_without_the_archive_is_refused():
    with pytest.raises(PackageError, match=f"holds no {ARCHIVE}"):
        read_package(make_archive({"package-1/setup.py": b""}))


def test_each_is_written_as_a_corpus_and_not_fetched_again(tmp_path, monkeypatch):
    fetched = []

    def download(pinned, folder):
        fetched.append(pinned.package)
        folder.mkdir()
        (folder / "package.tar.gz").write_bytes(make_package())
        return folder / "package.tar.gz"

    monkeypatch.setattr(ratings, "download", download)
    files = fetch_ratings(tmp_path)
    assert fetch_ratings(tmp_path) == files
    assert fetched == ["vaderSentiment"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in files)
    assert json.loads(files[0].read_text().splitlines()[0])["label"] == "positive"
