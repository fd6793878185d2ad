"""The first schema: messages, labels, bundles, champions, training runs, leases.

Revision 0001, after nothing.
"""

import sqlalchemy as sa
from alembic import op


revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bundles",
        sa.Column("version", sa.Text(), nullable=False, comment="as in bundle.json"),
        sa.Column("path", sa.Text(), nullable=False, comment="its folder when it was published"),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, comment="when it was trained"
        ),
        sa.Column(
            "published_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when it was complete on disk",
        ),
        sa.Column(
            "data_digest", sa.Text(), nullable=False, comment="SHA-256 over the training set's list"
        ),
        sa.Column(
            "metrics",
            sa.JSON(none_as_null=True),
            nullable=False,
            comment="before and after quantization",
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_bundles")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False, comment="what is leased, e.g. trainer"),
        sa.Column(
            "holder", sa.Text(), nullable=True, comment="host and process; NULL when given back"
        ),
        sa.Column("token", sa.BigInteger(), nullable=False, comment="grows each time it is taken"),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "renewed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="last sign of life of the holder",
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="free for anyone after this",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "messages",
        sa.Column(
            "id",
            sa.String(length=26),
            nullable=False,
            comment="ULID; the X-Filterd-Id that headers, Slack, the CLI and the log use",
        ),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), nullable=False, comment="end of data, UTC"
        ),
        sa.Column(
            "client_address",
            sa.Text(),
            nullable=False,
            comment="address of the sending host: XFORWARD's if a trusted peer gave one",
        ),
        sa.Column("helo", sa.Text(), nullable=False, comment="what the client called itself"),
        sa.Column(
            "sender", sa.Text(), nullable=False, comment="envelope sender; empty for bounces"
        ),
        sa.Column(
            "recipients",
            sa.JSON(none_as_null=True),
            nullable=False,
            comment="envelope recipients that were accepted",
        ),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes as received"),
        sa.Column(
            "digest",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the body in hex, for finding exact copies",
        ),
        sa.Column("subject", sa.Text(), nullable=False, comment="decoded"),
        sa.Column("from_address", sa.Text(), nullable=False, comment="address of the From header"),
        sa.Column("from_domain", sa.Text(), nullable=False, comment="its domain"),
        sa.Column(
            "message_id",
            sa.Text(),
            nullable=False,
            comment="Message-ID header, forgeable; not our id",
        ),
        sa.Column("verdict", sa.Text(), nullable=True, comment="spam or ham; NULL if unjudged"),
        sa.Column("spam", sa.Double(), nullable=True, comment="probability of spam, 0..1"),
        sa.Column(
            "threshold", sa.Double(), nullable=True, comment="spam from here on, at that time"
        ),
        sa.Column("sentiment", sa.Text(), nullable=True, comment="its most probable label"),
        sa.Column(
            "scores",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="task -> label -> calibrated probability",
        ),
        sa.Column(
            "model", sa.Text(), nullable=True, comment="version of the bundle that judged it"
        ),
        sa.Column("failure", sa.Text(), nullable=True, comment="why it is unjudged, in a word"),
        sa.Column(
            "outcome",
            sa.Text(),
            nullable=False,
            comment="what the next hop, or we, answered: code + text",
        ),
        sa.Column("ms", sa.Double(), nullable=False, comment="wall time of judging, milliseconds"),
        sa.Column(
            "text",
            sa.Text(),
            nullable=True,
            comment="model input; NULL by store_text or after its retention",
        ),
        sa.Column(
            "embedding",
            sa.LargeBinary(),
            nullable=True,
            comment="pooled embedding, little-endian float16; kept and removed with text",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_messages_digest"), ["digest"], unique=False)
        batch_op.create_index(batch_op.f("ix_messages_message_id"), ["message_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_messages_received_at"), ["received_at"], unique=False)

    op.create_table(
        "training_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "due_for",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="the scheduled moment it answers, UTC, so that each night runs once; NULL if asked for by hand",
        ),
        sa.Column("trigger", sa.Text(), nullable=False, comment="schedule, labels, cli or slack"),
        sa.Column("requested_by", sa.Text(), nullable=True, comment="the person, if one asked"),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="waiting, running, shadow, promoted, refused, skipped or failed",
        ),
        sa.Column(
            "reason", sa.Text(), nullable=True, comment="why refused, skipped or failed; a line"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trainer", sa.Text(), nullable=True, comment="host and process that took it"),
        sa.Column(
            "token",
            sa.BigInteger(),
            nullable=True,
            comment="fencing token of its lease; a run with an older one may not publish",
        ),
        sa.Column(
            "stage", sa.Text(), nullable=True, comment="last step completed, to resume after it"
        ),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="how often it was started"),
        sa.Column(
            "trained_from", sa.Text(), nullable=True, comment="champion whose weights it began with"
        ),
        sa.Column("candidate", sa.Text(), nullable=True, comment="version of the bundle it made"),
        sa.Column("data_digest", sa.Text(), nullable=True, comment="of the training set"),
        sa.Column(
            "figures",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="of each gate rule, and seconds of each stage",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_runs")),
        sa.UniqueConstraint("due_for", name=op.f("uq_training_runs_due_for")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("training_runs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_training_runs_state"), ["state"], unique=False)

    op.create_table(
        "champions",
        sa.Column(
            "id",
            sa.Integer(),
            nullable=False,
            comment="never used twice, in the order of commits: a change mark",
        ),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False, comment="a person, or the trainer"),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column(
            "takes_back",
            sa.Integer(),
            nullable=True,
            comment="set by a rollback: the row whose bundle it took out",
        ),
        sa.ForeignKeyConstraint(
            ["takes_back"], ["champions.id"], name=op.f("fk_champions_takes_back")
        ),
        sa.ForeignKeyConstraint(
            ["version"], ["bundles.version"], name=op.f("fk_champions_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_champions")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "labels",
        sa.Column(
            "id",
            sa.Integer(),
            nullable=False,
            comment="never used twice, in the order of commits: a change mark",
        ),
        sa.Column("message_id", sa.String(length=26), nullable=False),
        sa.Column(
            "task", sa.Text(), nullable=False, comment="spam, sentiment or a task of the site"
        ),
        sa.Column(
            "label",
            sa.Text(),
            nullable=False,
            comment="of that task; in an undo, the label taken back",
        ),
        sa.Column(
            "by", sa.Text(), nullable=False, comment="who: name for the CLI, user id for Slack"
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="slack, cli …"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "replaces",
            sa.Integer(),
            nullable=True,
            comment="the same person's label that stood until now",
        ),
        sa.Column(
            "undoes", sa.Integer(), nullable=True, comment="this row is an undo of that label"
        ),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_labels_message_id")),
        sa.ForeignKeyConstraint(["replaces"], ["labels.id"], name=op.f("fk_labels_replaces")),
        sa.ForeignKeyConstraint(["undoes"], ["labels.id"], name=op.f("fk_labels_undoes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.UniqueConstraint("undoes", name=op.f("uq_labels_undoes")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("labels", schema=None) as batch_op:
        batch_op.create_index("ix_labels_message_id_task", ["message_id", "task"], unique=False)
