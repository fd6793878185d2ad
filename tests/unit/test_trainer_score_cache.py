import numpy as np
import pytest
from tiny_bundle import make_tiny_bundle

from filterd.model.encoder import Encoder
from trainer.errors import CorporaError
from trainer.feedback import Feedback
from trainer.replay import replay
from trainer.score_cache import ScoreCache
from trainer.stream import read_index

EMBEDDING = np.arange(4, dtype=np.float32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def index(tmp_path):
    for number in range(20):
        word = "lottery" if number % 2 else "minutes"
        (tmp_path / f"{number}.eml").write_text(f"Subject: {word}\n\nthe {word} number {number}\n")
    lines = [f"{'spam' if number % 2 else 'ham'} {number}.eml\n" for number in range(20)]
    (tmp_path / "index").write_text("".join(lines))
    return tmp_path / "index"


def test_what_was_put_is_there_for_the_next_run(tmp_path, bundle):
    with ScoreCache(tmp_path / "scores", bundle) as cache:
        cache.put(b"mail", 0.25, EMBEDDING)
    with ScoreCache(tmp_path / "scores", bundle) as cache:
        found = cache.get(b"mail")
        assert found.spam == 0.25
        assert found.embedding.tolist() == EMBEDDING.tolist()
        assert cache.get(b"other mail") is None


def test_another_bundle_has_scores_of_its_own(tmp_path, bundle):
    other = make_tiny_bundle(tmp_path / "other", spam_words=("pills",))
    with ScoreCache(tmp_path / "scores", bundle) as cache:
        cache.put(b"mail", 0.25, EMBEDDING)
    with ScoreCache(tmp_path / "scores", other) as cache:
        assert cache.get(b"mail") is None


def test_a_file_that_is_something_else_is_named(tmp_path, bundle):
    (tmp_path / "scores").write_text("not a database, but quite a long text of some lines\n" * 50)
    with pytest.raises(CorporaError, match=r"scores: cannot be used to keep scores in: "):
        ScoreCache(tmp_path / "scores", bundle)


class Silent:
    """An encoder that must not be asked."""

    def __init__(self, bundle):
        self.bundle = bundle

    def encode(self, texts):
        raise AssertionError(f"asked for {texts}")


@pytest.mark.parametrize("feedback", [Feedback(), Feedback("immediate")])
def test_a_replay_from_the_cache_asks_no_encoder_and_says_the_same(
    tmp_path, bundle, index, feedback
):
    entries = read_index(index)
    with ScoreCache(tmp_path / "scores", bundle) as cache:
        first = list(replay(entries, Encoder(bundle), 2, feedback, cache))
        again = list(replay(entries, Silent(bundle), 2, feedback, cache))
    assert first == again
    assert first == list(replay(entries, Encoder(bundle), 2, feedback))


def test_a_run_that_was_stopped_has_left_what_it_judged(tmp_path, bundle, index):
    entries = read_index(index)
    with ScoreCache(tmp_path / "scores", bundle) as cache:
        running = replay(entries, Encoder(bundle), 1, Feedback(), cache)
        judged = [next(running) for _ in range(5)]
        running.close()
    with ScoreCache(tmp_path / "scores", bundle) as cache:
        found = [cache.get(entry.read()) for entry in entries[:5]]
    assert [each.spam for each in judged] == [each.spam for each in found]
