"""The schema. Labels, champions and runs are facts: appended with who and when, never changed.

A change here needs a migration beside it (`migrations/versions`); a test compares the two.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import JSON, BigInteger, Double, ForeignKey, Index, MetaData, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from filterd.store.columns import HalfVector, SafeText, UtcTime

ULID_LENGTH = 26
# Posts that Slack has not shown as they should be.
PENDING = text("shown < wanted AND given_up IS NULL")


class Base(DeclarativeBase):
    """All tables; constraints are named so that migrations can name them too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: SafeText,
        datetime: UtcTime,
        float: Double,
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        npt.NDArray[np.float32]: HalfVector,
    }


class Messages(Base):
    """One row for each message answered at end of data."""

    __tablename__ = "messages"

    id: Mapped[str] = mapped_column(
        String(ULID_LENGTH),
        primary_key=True,
        comment="ULID; the X-Filterd-Id that headers, Slack, the CLI and the log use",
    )
    received_at: Mapped[datetime] = mapped_column(comment="end of data, UTC")
    client_address: Mapped[str] = mapped_column(
        comment="address of the sending host: XFORWARD's if a trusted peer gave one"
    )
    helo: Mapped[str] = mapped_column(comment="what the client called itself")
    sender: Mapped[str] = mapped_column(comment="envelope sender; empty for bounces")
    recipients: Mapped[list[str]] = mapped_column(comment="envelope recipients that were accepted")
    size: Mapped[int] = mapped_column(BigInteger, comment="bytes as received")
    digest: Mapped[str] = mapped_column(
        String(64), index=True, comment="SHA-256 of the body in hex, for finding exact copies"
    )
    subject: Mapped[str] = mapped_column(comment="decoded")
    from_address: Mapped[str] = mapped_column(comment="address of the From header")
    from_domain: Mapped[str] = mapped_column(comment="its domain")
    message_id: Mapped[str] = mapped_column(
        index=True, comment="Message-ID header, forgeable; not our id"
    )
    verdict: Mapped[str | None] = mapped_column(comment="spam or ham; NULL if unjudged")
    spam: Mapped[float | None] = mapped_column(comment="probability of spam, 0..1")
    threshold: Mapped[float | None] = mapped_column(comment="spam from here on, at that time")
    sentiment: Mapped[str | None] = mapped_column(comment="its most probable label")
    scores: Mapped[dict[str, Any] | None] = mapped_column(
        comment="task -> label -> calibrated probability"
    )
    model: Mapped[str | None] = mapped_column(comment="version of the bundle that judged it")
    failure: Mapped[str | None] = mapped_column(comment="why it is unjudged, in a word")
    outcome: Mapped[str] = mapped_column(comment="what the next hop, or we, answered: code + text")
    ms: Mapped[float] = mapped_column(comment="wall time of judging, milliseconds")
    text: Mapped[str | None] = mapped_column(
        comment="model input; NULL by store_text or after its retention"
    )
    embedding: Mapped[npt.NDArray[np.float32] | None] = mapped_column(
        comment="pooled embedding, little-endian float16; kept and removed with text"
    )
    head: Mapped[bytes | None] = mapped_column(
        comment="its first 3,500 bytes, deflated; for the learner, kept and removed with text"
    )

    __table_args__ = (
        # With what a day's figures count, so that a million rows need not be read for them.
        Index("ix_messages_received_at_verdict", "received_at", "verdict", "sentiment"),
    )


class Labels(Base):
    """What people said of messages. Rows are only ever added."""

    __tablename__ = "labels"

    id: Mapped[int] = mapped_column(
        primary_key=True, comment="never used twice, in the order of commits: a change mark"
    )
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id"))
    task: Mapped[str] = mapped_column(comment="spam, sentiment or a task of the site")
    label: Mapped[str] = mapped_column(comment="of that task; in an undo, the label taken back")
    by: Mapped[str] = mapped_column(comment="who: name for the CLI, user id for Slack")
    source: Mapped[str] = mapped_column(comment="slack, cli …")
    at: Mapped[datetime]
    replaces: Mapped[int | None] = mapped_column(
        ForeignKey("labels.id"), comment="the same person's label that stood until now"
    )
    undoes: Mapped[int | None] = mapped_column(
        ForeignKey("labels.id"), unique=True, comment="this row is an undo of that label"
    )

    __table_args__ = (
        Index("ix_labels_message_id_task", "message_id", "task"),
        {"sqlite_autoincrement": True},
    )


class Bundles(Base):
    """Bundles that were published. The folder holds the facts, this row says that it is whole."""

    __tablename__ = "bundles"

    version: Mapped[str] = mapped_column(primary_key=True, comment="as in bundle.json")
    path: Mapped[str] = mapped_column(comment="its folder when it was published")
    created_at: Mapped[datetime] = mapped_column(comment="when it was trained")
    published_at: Mapped[datetime] = mapped_column(comment="when it was complete on disk")
    data_digest: Mapped[str] = mapped_column(comment="SHA-256 over the training set's list")
    metrics: Mapped[dict[str, Any]] = mapped_column(comment="before and after quantization")


class Champions(Base):
    """Which bundle serves: the last row. Promotions and rollbacks both append."""

    __tablename__ = "champions"

    id: Mapped[int] = mapped_column(
        primary_key=True, comment="never used twice, in the order of commits: a change mark"
    )
    version: Mapped[str] = mapped_column(ForeignKey("bundles.version"))
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(comment="a person, or the trainer")
    why: Mapped[str]
    takes_back: Mapped[int | None] = mapped_column(
        ForeignKey("champions.id"), comment="set by a rollback: the row whose bundle it took out"
    )

    __table_args__ = ({"sqlite_autoincrement": True},)


class TrainingRuns(Base):
    """Each night's work, and what was asked for by hand. Decides whether a run is due."""

    __tablename__ = "training_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    due_for: Mapped[datetime | None] = mapped_column(
        unique=True,
        comment="the scheduled moment it answers, UTC, so that each night runs once; "
        "NULL if asked for by hand",
    )
    trigger: Mapped[str] = mapped_column(comment="schedule, labels, cli or slack")
    requested_by: Mapped[str | None] = mapped_column(comment="the person, if one asked")
    state: Mapped[str] = mapped_column(
        index=True, comment="waiting, running, shadow, promoted, refused, skipped or failed"
    )
    reason: Mapped[str | None] = mapped_column(comment="why refused, skipped or failed; a line")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    trainer: Mapped[str | None] = mapped_column(comment="host and process that took it")
    token: Mapped[int | None] = mapped_column(
        BigInteger, comment="fencing token of its lease; a run with an older one may not publish"
    )
    stage: Mapped[str | None] = mapped_column(comment="last step completed, to resume after it")
    attempts: Mapped[int] = mapped_column(comment="how often it was started")
    trained_from: Mapped[str | None] = mapped_column(comment="champion whose weights it began with")
    candidate: Mapped[str | None] = mapped_column(comment="version of the bundle it made")
    data_digest: Mapped[str | None] = mapped_column(comment="of the training set")
    figures: Mapped[dict[str, Any] | None] = mapped_column(
        comment="of each gate rule, and seconds of each stage"
    )

    __table_args__ = ({"sqlite_autoincrement": True},)


class Leases(Base):
    """Who may do what only one may do at a time. A row stays; its token only grows."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True, comment="what is leased, e.g. trainer")
    holder: Mapped[str | None] = mapped_column(comment="host and process; NULL when given back")
    token: Mapped[int] = mapped_column(BigInteger, comment="grows each time it is taken")
    taken_at: Mapped[datetime | None]
    renewed_at: Mapped[datetime | None] = mapped_column(comment="last sign of life of the holder")
    expires_at: Mapped[datetime | None] = mapped_column(comment="free for anyone after this")


class BundleScores(Base):
    """What a new bundle gives to mails that were labelled before it: the learner goes by these."""

    __tablename__ = "bundle_scores"

    version: Mapped[str] = mapped_column(
        primary_key=True,
        comment="of the bundle; no foreign key: they are written before it is published",
    )
    message_id: Mapped[str] = mapped_column(
        String(ULID_LENGTH),
        primary_key=True,
        comment="a labelled mail; no foreign key: retention may remove it",
    )
    spam: Mapped[float] = mapped_column(comment="its probability by the bundle alone, 0..1")


class Incidents(Base):
    """What goes wrong for a while, as a process of the mail path saw it: from when until when."""

    __tablename__ = "incidents"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(comment="next_hop or bundle")
    source: Mapped[str] = mapped_column(comment="host and worker that saw it")
    text: Mapped[str] = mapped_column(comment="what is wrong, a line; never content of mail")
    began_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(
        index=True, comment="last said to go on; one not said for minutes died with its process"
    )
    ended_at: Mapped[datetime | None]

    __table_args__ = ({"sqlite_autoincrement": True},)


class Pauses(Base):
    """What an admin has put on hold, and taken up again: the last row of each `what` counts."""

    __tablename__ = "pauses"

    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(comment="cards or nights")
    paused: Mapped[bool] = mapped_column(comment="put on hold, else taken up again")
    by: Mapped[str] = mapped_column(comment="who: name for the CLI, user id for Slack")
    at: Mapped[datetime]

    __table_args__ = ({"sqlite_autoincrement": True},)


class SlackPosts(Base):
    """What the bot says in channels: written here first, said and changed when Slack takes it."""

    __tablename__ = "slack_posts"

    id: Mapped[int] = mapped_column(primary_key=True, comment="posts are said in this order")
    key: Mapped[str] = mapped_column(
        unique=True, comment="e.g. card:ID or digest:2026-11-26; nothing is said twice"
    )
    kind: Mapped[str] = mapped_column(comment="card, digest, alert or reply")
    channel: Mapped[str] = mapped_column(comment="Slack channel id")
    message_id: Mapped[str | None] = mapped_column(
        String(ULID_LENGTH), index=True, comment="mail of a card; it may be gone by retention"
    )
    content: Mapped[dict[str, Any]] = mapped_column(
        comment="what it is made of, but for what the database says of its mail when it is said"
    )
    answers: Mapped[str | None] = mapped_column(comment="key of the post whose thread it is in")
    ts: Mapped[str | None] = mapped_column(comment="Slack's name for it; NULL until it is said")
    wanted: Mapped[int] = mapped_column(comment="grows with each change of what it should show")
    shown: Mapped[int] = mapped_column(comment="the last of them that Slack has taken; 0: none")
    attempts: Mapped[int] = mapped_column(comment="begun since Slack last took one")
    next_at: Mapped[datetime] = mapped_column(comment="not to be tried before")
    created_at: Mapped[datetime] = mapped_column(index=True)
    given_up: Mapped[str | None] = mapped_column(comment="why it will not be said; a line")

    __table_args__ = (
        Index("ix_slack_posts_pending", "next_at", sqlite_where=PENDING, postgresql_where=PENDING),
        {"sqlite_autoincrement": True},
    )


class SlackEvents(Base):
    """What Slack has delivered: it may deliver again, and to another replica. Kept for a day."""

    __tablename__ = "slack_events"

    key: Mapped[str] = mapped_column(primary_key=True, comment="Slack's own id of the event")
    at: Mapped[datetime] = mapped_column(index=True)
