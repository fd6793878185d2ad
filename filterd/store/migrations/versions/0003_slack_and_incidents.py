"""What the Slack bot says and has heard, what is on hold, and what goes wrong for a while.

Revision 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op


revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_messages_received_at"))
        batch_op.create_index(
            "ix_messages_received_at_verdict", ["received_at", "verdict", "sentiment"], unique=False
        )
    op.create_table(
        "incidents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="next_hop or bundle"),
        sa.Column("source", sa.Text(), nullable=False, comment="host and worker that saw it"),
        sa.Column(
            "text",
            sa.Text(),
            nullable=False,
            comment="what is wrong, a line; never content of mail",
        ),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="last said to go on; one not said for minutes died with its process",
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_incidents_seen_at"), ["seen_at"], unique=False)

    op.create_table(
        "pauses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False, comment="cards or nights"),
        sa.Column(
            "paused",
            sa.Boolean(),
            nullable=False,
            comment="put on hold, else taken up again",
        ),
        sa.Column(
            "by", sa.Text(), nullable=False, comment="who: name for the CLI, user id for Slack"
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "slack_events",
        sa.Column("key", sa.Text(), nullable=False, comment="Slack's own id of the event"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_slack_events")),
    )
    with op.batch_alter_table("slack_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_slack_events_at"), ["at"], unique=False)

    op.create_table(
        "slack_posts",
        sa.Column("id", sa.Integer(), nullable=False, comment="posts are said in this order"),
        sa.Column(
            "key",
            sa.Text(),
            nullable=False,
            comment="e.g. card:ID or digest:2026-11-26; nothing is said twice",
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="card, digest, alert or reply"),
        sa.Column("channel", sa.Text(), nullable=False, comment="Slack channel id"),
        sa.Column(
            "message_id",
            sa.String(length=26),
            nullable=True,
            comment="mail of a card; it may be gone by retention",
        ),
        sa.Column(
            "content",
            sa.JSON(),
            nullable=False,
            comment="what it is made of, but for what the database says of its mail when it is said",
        ),
        sa.Column(
            "answers", sa.Text(), nullable=True, comment="key of the post whose thread it is in"
        ),
        sa.Column(
            "ts", sa.Text(), nullable=True, comment="Slack's name for it; NULL until it is said"
        ),
        sa.Column(
            "wanted",
            sa.Integer(),
            nullable=False,
            comment="grows with each change of what it should show",
        ),
        sa.Column(
            "shown",
            sa.Integer(),
            nullable=False,
            comment="the last of them that Slack has taken; 0: none",
        ),
        sa.Column(
            "attempts", sa.Integer(), nullable=False, comment="begun since Slack last took one"
        ),
        sa.Column(
            "next_at", sa.DateTime(timezone=True), nullable=False, comment="not to be tried before"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("given_up", sa.Text(), nullable=True, comment="why it will not be said; a line"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slack_posts")),
        sa.UniqueConstraint("key", name=op.f("uq_slack_posts_key")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("slack_posts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_slack_posts_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_slack_posts_message_id"), ["message_id"], unique=False)
        batch_op.create_index(
            "ix_slack_posts_pending",
            ["next_at"],
            unique=False,
            sqlite_where=sa.text("shown < wanted AND given_up IS NULL"),
            postgresql_where=sa.text("shown < wanted AND given_up IS NULL"),
        )
