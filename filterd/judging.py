"""What happens to one message between end of data and the next hop: judged, stamped, recorded.

The SMTP side calls `examine` and knows nothing of models; whatever goes wrong in here is decided
by `on_failure` and never reaches the client as an error of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import structlog

from filterd import metrics
from filterd.admission import Admission
from filterd.learner.features import pack
from filterd.mail.stamp import stamp
from filterd.model.batcher import Overloaded
from filterd.pipeline import Judgement, Origin, Reading, conclude, conclude_early
from filterd.policy import (
    SPAMASSASSIN_REQUIRED,
    Action,
    Mode,
    Policy,
    Verdict,
    spamassassin_score,
)
from filterd.readers import Readers
from filterd.smtp.examiner import Envelope, Outcome
from filterd.smtp.replies import BUSY, Reply
from filterd.store.messages import MessageRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from filterd.learner.site import SiteLearner
    from filterd.model.batcher import Batcher
    from filterd.store.recorder import Recorder

log = structlog.get_logger()

REFUSED_AS_SPAM = Reply(550, "5.7.1 Message refused: held to be spam")
NOT_JUDGED = Reply(451, "4.7.1 Message could not be judged now, try again later")
MILLISECONDS = 1000
# Why a message was not judged whose sender is to send it again when there is time for it.
DEFERRED = "deferred"
SECONDS_BETWEEN_WORDS = 60.0  # of the same overload, in the log


@dataclass(frozen=True, slots=True)
class Handling:
    """What the settings say about judged and unjudged mail."""

    policy: Policy
    on_failure: Literal["pass", "tempfail"]
    deadline: float
    subject_tag: str
    spam_headers: bool
    keep_text: bool
    cascade: bool = False
    on_overload: Literal["defer", "pass"] = "defer"

    @property
    def defers(self) -> bool:
        """Whether mail that comes too fast is told to come again. Shadow changes nothing."""
        return self.on_overload == "defer" and self.mode != "shadow"

    @property
    def mode(self) -> Mode:
        """The mode that the policy acts in."""
        return self.policy.mode


class MailExaminer:
    """Judges messages for the SMTP sessions of one worker. `close` before the loop ends.

    `learner` gives the learner that goes with a bundle, by its version: what one bundle says of a
    mail is never joined with what was taught by another's scores, in the moment of a swap either.
    `exhausted` is told when memory ran out over a mail.
    """

    def __init__(
        self,
        batcher: Batcher,
        recorder: Recorder,
        handling: Handling,
        *,
        new_id: Callable[[], str],
        now: Callable[[], datetime],
        learner: Callable[[str], SiteLearner | None] = lambda _: None,
        readers: Readers | None = None,
        exhausted: Callable[[], None] = lambda: None,
    ) -> None:
        self._batcher = batcher
        self._recorder = recorder
        self._handling = handling
        self._new_id = new_id
        self._now = now
        self._learner = learner
        self._readers = readers or Readers()
        self._admission = Admission(handling.deadline)
        self._overload_told = float("-inf")
        self._exhausted = exhausted

    async def examine(self, envelope: Envelope, message: bytes) -> tuple[Outcome, MessageRecord]:
        """Judge and stamp; never raises. The record goes back to `delivered` with the replies."""
        started = time.perf_counter()
        message_id = self._new_id()
        origin = Origin(
            envelope.xforward.get("HELO", envelope.helo),
            envelope.xforward.get("ADDR", envelope.client_address),
            self._now().timestamp(),
        )
        judged = await self._judge_if_in_time(message, origin, started)
        metrics.MESSAGE_BYTES.observe(len(message))
        outcome, judged = self._decide(message, message_id, judged)
        return outcome, self._record(envelope, origin, message, message_id, judged, started)

    def delivered(self, token: object, replies: tuple[Reply, ...]) -> None:
        """Record a message with what the next hop, or we, answered."""
        if not isinstance(token, MessageRecord):
            raise TypeError(f"not a token of ours: {type(token).__name__}")
        answer = "; ".join(f"{reply.code} {reply.first_line[:200]}" for reply in replies)
        first_digit = f"{replies[0].code // 100}xx" if replies else "none"
        metrics.MESSAGES.labels(token.verdict or "unjudged", first_digit).inc()
        log.info(
            "message",
            id=token.id,
            verdict=token.verdict or "unjudged",
            spam=None if token.spam is None else round(token.spam, 4),
            sentiment=token.sentiment,
            failure=token.failure,
            ms=round(token.ms, 1),
            size=token.size,
            reply=[reply.code for reply in replies],
        )
        if token.failure != DEFERRED:  # that one comes again
            self._recorder.record(replace(token, outcome=answer or "no reply"))

    def may_begin(self) -> bool:
        """Whether mail that is announced now is taken: it would be judged in time."""
        if not self._handling.defers or self._admission.may_begin():
            return True
        self._defer("mail")
        return False

    def may_connect(self, connections: int) -> bool:
        """Whether a client that connects is heard, with so many connected already."""
        if not self._handling.defers or self._admission.may_connect(connections):
            return True
        self._defer("connect")
        return False

    @property
    def stuck_for(self) -> float:
        """Seconds for which no mail could be judged since reading is stuck; 0 if it is not."""
        return self._readers.stuck_for

    async def close(self) -> None:
        """Let the reading threads finish, but for those that are stuck."""
        await asyncio.to_thread(self._readers.close)

    async def _judge_if_in_time(
        self, message: bytes, origin: Origin, started: float
    ) -> Judgement | str:
        """As `_judge`, unless so many are in hand that it would be for nothing."""
        if not self._admission.may_enter():
            return DEFERRED if self._handling.defers else "overload"
        self._admission.enter()
        judged: Judgement | str = ""
        try:
            judged = await self._judge(message, origin, started)
        finally:
            self._admission.leave(done=isinstance(judged, Judgement))
        return judged

    async def _judge(self, message: bytes, origin: Origin, started: float) -> Judgement | str:
        """A judgement, or in a word why there is none."""
        try:
            async with asyncio.timeout(self._handling.deadline):
                reading = await self._readers.read(message)
                early = self._judge_early(reading, origin, time.perf_counter() - started)
                if early is not None:
                    return early
                scores = await self._batcher.encode(reading.text)
            return conclude(
                reading,
                scores,
                self._handling.policy,
                time.perf_counter() - started,
                learner=self._learner(scores.bundle.version),
                origin=origin,
            )
        except TimeoutError:
            log.warning("judging overran its deadline", seconds=self._handling.deadline)
            return "deadline"
        except Overloaded:
            return "overload"
        except MemoryError:
            # This mail goes as any that fails; the next one goes to a process that is not as full.
            log.exception("out of memory, another worker takes over")
            self._exhausted()
            return "error"
        except Exception:
            # Our own trouble must never cost the sender a mail: on_failure decides (design 4.5).
            log.exception("judging failed")
            return "error"

    def _judge_early(self, reading: Reading, origin: Origin, seconds: float) -> Judgement | None:
        """A judgement without the BERT, where the settings want it and nobody can doubt it."""
        if not self._handling.cascade:
            return None
        bundle, policy = self._batcher.bundle, self._handling.policy
        learner = self._learner(bundle.version)
        if learner is None:
            return None
        return conclude_early(reading, bundle, policy, seconds, learner=learner, origin=origin)

    def _decide(
        self, message: bytes, message_id: str, judged: Judgement | str
    ) -> tuple[Outcome, Judgement | str]:
        """What becomes of the message, and its judgement unless that could not be carried out."""
        if isinstance(judged, Judgement):
            try:
                outcome = self._act(message, message_id, judged)
            except Exception:
                log.exception("stamping failed", id=message_id)
                judged = "error"
            else:
                _count(judged)
                return outcome, judged
        if judged == DEFERRED:
            self._defer("data")
            return Outcome(None, BUSY), judged
        metrics.UNJUDGED.labels(judged).inc()
        return self._let_through(message, message_id, judged), judged

    def _defer(self, at: Literal["connect", "mail", "data"]) -> None:
        """Count it, and say now and then that it is so."""
        metrics.DEFERRED.labels(at).inc()
        now = time.monotonic()
        if now - self._overload_told >= SECONDS_BETWEEN_WORDS:
            self._overload_told = now
            log.warning("more mail than can be judged in time", wait=round(self._admission.wait, 1))

    def _act(self, message: bytes, message_id: str, judged: Judgement) -> Outcome:
        handling = self._handling
        if handling.mode == "shadow":
            return Outcome(message, None)
        action = handling.policy.action(judged.verdict, judged.spam)
        if action is Action.REJECT:
            return Outcome(None, REFUSED_AS_SPAM)
        headers = verdict_headers(message_id, judged, spam_headers=handling.spam_headers)
        tag = handling.subject_tag if judged.verdict is Verdict.SPAM else ""
        stamped = stamp(message, headers, subject_tag=tag)
        return Outcome(stamped, None, quarantine=action is Action.QUARANTINE)

    def _let_through(self, message: bytes, message_id: str, reason: str) -> Outcome:
        handling = self._handling
        if handling.on_failure == "tempfail" and handling.mode != "shadow":
            return Outcome(None, NOT_JUDGED)
        if handling.mode == "shadow":
            return Outcome(message, None)
        headers = [
            ("X-Filterd-Verdict", f"unjudged; reason={reason}"),
            ("X-Filterd-Id", message_id),
        ]
        try:
            return Outcome(stamp(message, headers), None)
        except Exception:
            log.exception("delivered without a header", id=message_id)
            return Outcome(message, None)

    def _record(
        self,
        envelope: Envelope,
        origin: Origin,
        message: bytes,
        message_id: str,
        judged: Judgement | str,
        started: float,
    ) -> MessageRecord:
        record = MessageRecord(
            id=message_id,
            received_at=datetime.fromtimestamp(origin.at, UTC),
            client_address=origin.client_address,
            helo=origin.helo,
            sender=envelope.sender,
            recipients=envelope.recipients,
            size=len(message),
            ms=(time.perf_counter() - started) * MILLISECONDS,
            digest=hashlib.sha256(_body(message)).hexdigest(),
        )
        if not isinstance(judged, Judgement):
            return replace(record, failure=judged)
        keeps, read_message = self._handling.keep_text, judged.reading.message
        return replace(
            record,
            subject=read_message.subject,
            from_address=read_message.from_address,
            from_domain=read_message.from_domain,
            message_id=read_message.message_id,
            verdict=judged.verdict.value,
            spam=judged.spam,
            threshold=judged.threshold,
            sentiment=judged.sentiment,
            scores=judged.scores or None,
            model=judged.model,
            text=judged.reading.text if keeps else None,
            embedding=judged.embedding if keeps and judged.embedding.size else None,
            head=pack(judged.reading.head) if keeps else None,
        )


def verdict_headers(
    message_id: str, judged: Judgement, *, spam_headers: bool
) -> list[tuple[str, str]]:
    """The headers of design section 5 for one judged message."""
    headers = [
        (
            "X-Filterd-Verdict",
            f"{judged.verdict}; score={judged.spam:.4f}; threshold={judged.threshold:.4f}",
        ),
        ("X-Filterd-Id", message_id),
        ("X-Filterd-Model", judged.model),
    ]
    if judged.sentiment is not None:
        sentiment = f"{judged.sentiment}; score={judged.sentiment_score:.4f}"
        headers.insert(1, ("X-Filterd-Sentiment", sentiment))
    if spam_headers:
        spam = judged.verdict is Verdict.SPAM
        score = f"{spamassassin_score(judged.spam, judged.threshold):.1f}"
        status = f"score={score} required={SPAMASSASSIN_REQUIRED} tests={_tests(judged)}"
        headers += [
            ("X-Spam-Flag", "YES" if spam else "NO"),
            ("X-Spam-Score", score),
            ("X-Spam-Status", f"{'Yes' if spam else 'No'}, {status}"),
        ]
    return headers


def _tests(judged: Judgement) -> str:
    """Who had a say, in the way of SpamAssassin's rules."""
    opinion = judged.opinion
    names = [] if opinion.bert is None else ["FILTERD_BERT"]
    if opinion.spam != opinion.bert:
        names.append("FILTERD_SITE")
    if opinion.near is not None:
        names.append("FILTERD_NEAR")
    return ",".join(names)


def why_in_a_line(judged: Judgement) -> str:
    """Score against threshold and what was found in the message, for people."""
    signals = judged.reading.message.signals
    found = {
        "hidden characters": signals.hidden_characters,
        "look-alike letters": signals.lookalikes,
        "zero-width characters": signals.zero_width,
        "mismatched links": signals.mismatched_links,
    }
    noticed = [
        f"{count} {what.removesuffix('s') if count == 1 else what}"
        for what, count in found.items()
        if count
    ]
    comparison = "≥" if judged.verdict is Verdict.SPAM else "<"
    score = f"spam {judged.spam:.4f} {comparison} threshold {judged.threshold:.4f}"
    return "; ".join([score, *noticed])


def _body(message: bytes) -> memoryview:
    """What follows the first empty line; not copied."""
    end = message.find(b"\r\n\r\n")
    return memoryview(message)[end + 4 if end >= 0 else len(message) :]


def _count(judged: Judgement) -> None:
    if judged.sentiment is None:
        metrics.SPARED.inc()
    else:
        metrics.SENTIMENT.labels(judged.sentiment).inc()
    metrics.JUDGE_SECONDS.observe(judged.ms / MILLISECONDS)
    metrics.SPAM_SCORE.observe(judged.spam)
