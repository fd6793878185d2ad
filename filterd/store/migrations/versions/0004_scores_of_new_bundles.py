"""What a new bundle gives to mails that were labelled before it.

Revision 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op


revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bundle_scores",
        sa.Column(
            "version",
            sa.Text(),
            nullable=False,
            comment="of the bundle; no foreign key: they are written before it is published",
        ),
        sa.Column(
            "message_id",
            sa.String(length=26),
            nullable=False,
            comment="a labelled mail; no foreign key: retention may remove it",
        ),
        sa.Column(
            "spam", sa.Double(), nullable=False, comment="its probability by the bundle alone, 0..1"
        ),
        sa.PrimaryKeyConstraint("version", "message_id", name=op.f("pk_bundle_scores")),
    )
