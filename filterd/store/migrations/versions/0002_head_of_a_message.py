"""What the learner needs of a message when a label comes later.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op


revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "messages",
        sa.Column(
            "head",
            sa.LargeBinary(),
            nullable=True,
            comment="its first 3,500 bytes, deflated; for the learner, kept and removed with text",
        ),
    )
