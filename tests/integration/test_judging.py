import asyncio
import itertools
from datetime import UTC, datetime

import pytest
from tiny_bundle import make_tiny_bundle

from filterd.judging import Handling, MailExaminer
from filterd.learner.features import Evidence
from filterd.learner.site import Lesson, SiteLearner, clues_of
from filterd.model.batcher import Batcher, Overloaded
from filterd.model.encoder import Encoder
from filterd.pipeline import read
from filterd.policy import Policy
from filterd.smtp.examiner import Envelope
from filterd.smtp.replies import Reply

SPAM = b"From: a@example.org\r\nSubject: lottery\r\n\r\nyou won the lottery\r\n"
HAM = b"From: b@example.org\r\nSubject: minutes\r\n\r\nthanks, great minutes\r\n"
FORGED = b"X-Filterd-Verdict: ham; score=0\r\nX-Spam-Flag: NO\r\n"
ENVELOPE = Envelope("192.0.2.1", "client.example", "a@example.org", ("you@example.com",), False, {})
NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


class Records(list):
    record = list.append


class Broken:
    def __init__(self, error=None):
        self.error = error

    async def encode(self, text):
        if self.error is None:
            await asyncio.Event().wait()
        raise self.error


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder(make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


@pytest.fixture
async def batcher(encoder):
    batcher = Batcher(encoder)
    yield batcher
    await batcher.close()


@pytest.fixture
def make(batcher):
    """An examiner with the given settings, and the records it writes."""

    def examiner(mode="tag", *, encoder=batcher, learner=None, **changes):
        handling = {
            "policy": Policy(mode),
            "on_failure": "pass",
            "deadline": 5.0,
            "subject_tag": "",
            "spam_headers": True,
            "keep_text": True,
        }
        records = Records()
        ids = (f"ID{number}" for number in itertools.count(1))
        made = MailExaminer(
            encoder,
            records,
            Handling(**handling | changes),
            new_id=lambda: next(ids),
            now=lambda: NOW,
            learner=lambda _: learner,
        )
        return made, records

    return examiner


def headers(message):
    head = message.partition(b"\r\n\r\n")[0].decode()
    return dict(line.split(": ", 1) for line in head.split("\r\n"))


async def test_spam_is_stamped_and_forged_headers_are_gone(make):
    examiner, _ = make()
    outcome, _ = await examiner.examine(ENVELOPE, FORGED + SPAM)
    found = headers(outcome.message)
    assert found["X-Filterd-Verdict"].startswith("spam; score=1.0000; ")
    assert found["X-Filterd-Verdict"].endswith("; threshold=0.9000")
    assert found["X-Filterd-Id"] == "ID1"
    assert found["X-Filterd-Model"] == "tiny.1"
    assert found["X-Spam-Flag"] == "YES"
    assert float(found["X-Spam-Score"]) >= 5.0
    assert found["X-Spam-Status"].startswith("Yes, score=")
    assert outcome.message.endswith(SPAM)
    assert outcome.message.count(b"X-Filterd-Verdict") == 1


async def test_ham_is_stamped_with_its_sentiment(make):
    examiner, _ = make()
    outcome, _ = await examiner.examine(ENVELOPE, HAM)
    found = headers(outcome.message)
    assert found["X-Filterd-Verdict"].startswith("ham; ")
    assert found["X-Filterd-Sentiment"].startswith("positive; score=")
    assert found["X-Spam-Flag"] == "NO"


async def test_spamassassins_headers_can_be_switched_off(make):
    examiner, _ = make(spam_headers=False)
    outcome, _ = await examiner.examine(ENVELOPE, FORGED + SPAM)
    assert b"X-Spam-" not in outcome.message


async def test_the_subject_of_spam_alone_is_tagged(make):
    examiner, _ = make(subject_tag="[SPAM]")
    spam, _ = await examiner.examine(ENVELOPE, SPAM)
    ham, _ = await examiner.examine(ENVELOPE, HAM)
    assert headers(spam.message)["Subject"] == "[SPAM] lottery"
    assert headers(ham.message)["Subject"] == "minutes"


async def test_shadow_changes_nothing_and_records_the_verdict(make):
    examiner, records = make("shadow")
    outcome, token = await examiner.examine(ENVELOPE, FORGED + SPAM)
    examiner.delivered(token, (Reply(250, "2.0.0 OK"),))
    assert outcome.message == FORGED + SPAM
    assert records[0].verdict == "spam"


async def test_reject_refuses_spam_with_5xx_and_lets_ham_through(make):
    examiner, _ = make("reject")
    spam, _ = await examiner.examine(ENVELOPE, SPAM)
    ham, _ = await examiner.examine(ENVELOPE, HAM)
    assert spam.message is None
    assert (spam.reply.code, spam.reply.text[:5]) == (550, "5.7.1")
    assert ham.reply is None


async def test_quarantine_sends_spam_elsewhere(make):
    examiner, _ = make("quarantine")
    spam, _ = await examiner.examine(ENVELOPE, SPAM)
    ham, _ = await examiner.examine(ENVELOPE, HAM)
    assert (spam.quarantine, ham.quarantine) == (True, False)


@pytest.mark.parametrize(
    ("encoder", "reason"),
    [
        (Broken(), "deadline"),
        (Broken(Overloaded("full")), "overload"),
        (Broken(ValueError("a bug")), "error"),
    ],
)
async def test_what_cannot_be_judged_is_delivered_and_says_why(make, encoder, reason):
    examiner, records = make(encoder=encoder, deadline=0.05)
    outcome, token = await examiner.examine(ENVELOPE, FORGED + SPAM)
    examiner.delivered(token, (Reply(250, "2.0.0 OK"),))
    assert headers(outcome.message)["X-Filterd-Verdict"] == f"unjudged; reason={reason}"
    assert outcome.message.endswith(SPAM)
    assert b"X-Spam-Flag" not in outcome.message
    assert (records[0].verdict, records[0].failure) == (None, reason)


async def test_what_cannot_be_judged_is_put_off_if_the_site_says_so(make):
    examiner, _ = make(encoder=Broken(), deadline=0.05, on_failure="tempfail")
    outcome, _ = await examiner.examine(ENVELOPE, SPAM)
    assert (outcome.message, outcome.reply.code) == (None, 451)


async def test_the_record_holds_the_envelope_scores_and_the_next_hops_answer(make):
    examiner, records = make()
    envelope = Envelope(
        "127.0.0.1", "mx", "", ("x@example.com",), False, {"ADDR": "192.0.2.9", "HELO": "far"}
    )
    _, token = await examiner.examine(envelope, SPAM)
    assert records == []
    examiner.delivered(token, (Reply(250, "2.0.0 Ok: queued as 4"),))
    (record,) = records
    assert (record.id, record.received_at) == ("ID1", NOW)
    assert (record.client_address, record.helo, record.sender) == ("192.0.2.9", "far", "")
    assert record.recipients == ("x@example.com",)
    assert (record.subject, record.from_domain) == ("lottery", "example.org")
    assert (record.verdict, record.model, record.outcome) == (
        "spam",
        "tiny.1",
        "250 2.0.0 Ok: queued as 4",
    )
    assert set(record.scores) == {"spam", "sentiment"}
    assert record.size == len(SPAM)
    assert "lottery" in record.text
    assert record.embedding.shape == (8,)


async def test_an_answer_without_words_is_recorded_too(make):
    examiner, records = make()
    _, token = await examiner.examine(ENVELOPE, HAM)
    examiner.delivered(token, (Reply(250, ""), Reply(450, "\n4.2.0 Later")))
    assert records[0].outcome == "250 ; 450 "


async def test_no_text_is_kept_where_the_site_wants_none(make):
    examiner, _ = make(keep_text=False)
    _, token = await examiner.examine(ENVELOPE, SPAM)
    assert (token.text, token.embedding) == (None, None)


async def test_any_bytes_are_judged(make):
    examiner, _ = make()
    for raw in (b"", b"\x00\xff" * 1000, b"no header at all", b"\r\n\r\n"):
        outcome, _ = await examiner.examine(ENVELOPE, raw)
        assert b"X-Filterd-Verdict: ham" in outcome.message
        assert outcome.message.endswith(raw)


@pytest.mark.parametrize(("on_failure", "reply"), [("pass", None), ("tempfail", 451)])
async def test_a_bug_in_stamping_is_our_trouble_and_not_the_senders(
    make, monkeypatch, on_failure, reply
):
    def fail(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("filterd.judging.stamp", fail)
    examiner, _ = make(on_failure=on_failure)
    outcome, record = await examiner.examine(ENVELOPE, SPAM)
    assert (outcome.reply and outcome.reply.code) == reply
    assert outcome.message == (SPAM if reply is None else None)
    assert record.failure == "error"


def taught_learner():
    """A learner by whose labels alone a lottery is surely spam."""
    learner = SiteLearner()
    for number in range(600):
        raw, label = ((SPAM, "spam"), (HAM, "ham"))[number % 2]
        reading = read(raw.replace(b"\r\n\r\n", b"\r\n\r\nnumber%d " % number))
        clues = clues_of(Evidence(reading.head, reading.text))
        learner.teach(Lesson(number, label, "ann", NOW.timestamp(), 0.5, clues))
    return learner


async def test_what_staff_taught_has_a_say_and_a_name_in_the_headers(make):
    examiner, _ = make(learner=taught_learner())
    outcome, _ = await examiner.examine(ENVELOPE, SPAM)
    status = headers(outcome.message)["X-Spam-Status"]
    assert status.endswith("tests=FILTERD_BERT,FILTERD_SITE,FILTERD_NEAR")


async def test_in_cascade_the_model_is_spared_sure_spam_alone(make, batcher):
    examiner, _ = make(cascade=True, learner=taught_learner())
    outcome, record = await examiner.examine(ENVELOPE, SPAM)
    found = headers(outcome.message)
    assert found["X-Filterd-Verdict"].startswith("spam; ")
    assert "X-Filterd-Sentiment" not in found
    assert found["X-Spam-Status"].endswith("tests=FILTERD_SITE,FILTERD_NEAR")
    assert (record.scores, record.sentiment, record.embedding) == (None, None, None)
    assert record.head is not None
    outcome, record = await examiner.examine(ENVELOPE, HAM)
    assert headers(outcome.message)["X-Filterd-Sentiment"].startswith("positive")
    assert record.scores is not None


async def test_without_cascade_the_model_sees_all(make):
    examiner, _ = make(learner=taught_learner())
    outcome, _ = await examiner.examine(ENVELOPE, SPAM)
    assert "X-Filterd-Sentiment" in headers(outcome.message)
