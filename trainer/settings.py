"""The trainer's settings: `[trainer]` of filterd's settings file, then `FILTERD_TRAINER_…`."""

from __future__ import annotations

import os
import zoneinfo
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from filterd.settings import ENVIRONMENT_PREFIX, FileSettings, ZoneName
from trainer.schedule import parse_cron

TABLE = "trainer"
PREFIX = f"{ENVIRONMENT_PREFIX}{TABLE.upper()}_"

Names = Annotated[tuple[str, ...], NoDecode]


class TrainerSettings(FileSettings):
    """All settings of the nights: `filterd-trainer serve`, `run` and `status`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, validate_default=False
    )

    schedule: str = Field(
        "30 2 * * *",
        max_length=200,
        description="When nights begin, local time, as cron has it: minute, hour, day, month, "
        "weekday by name (`30 2 * * mon-fri`). Empty: only when asked for.",
    )
    timezone: ZoneName = Field("UTC", description="Of `schedule`, e.g. Europe/Berlin.")
    min_labels: int = Field(
        20, ge=1, le=1_000_000, description="New labels that make a night worth it."
    )
    max_days: int = Field(
        7, ge=1, le=3650, description="Days after which any new label makes a night worth it."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where to train: on a GPU if there is one (auto), never, or only there."
    )
    processes: int = Field(
        0,
        ge=0,
        le=64,
        description="Processes that train together; 0 for one on each GPU, or one on the CPU.",
    )
    threads: int = Field(
        0, ge=0, le=1024, description="Threads to train on; 0 for half of the cores."
    )
    nice: int = Field(10, ge=0, le=19, description="Niceness of a night: mail comes first.")
    time_budget: float = Field(
        7200.0, gt=0, le=604_800, description="Seconds after which a night is ended as failed."
    )
    epochs: int = Field(2, ge=1, le=100, description="How often a night reads its mails.")
    rate: float = Field(1e-4, gt=0, le=0.01, description="Peak learning rate.")
    batch: int = Field(
        32, ge=1, le=4096, description="Mails in one step; halved where memory runs out."
    )
    replay: int = Field(
        4000,
        ge=0,
        le=1_000_000,
        description="Recent mails without a label that are taught as the site sees them.",
    )
    quorum: int = Field(
        1, ge=1, le=100, description="People who must agree before a label is learned from."
    )
    trusted: Names = Field(
        (),
        description="Names or Slack ids of people whose label counts alone. If there are any, "
        "others' labels need `quorum` people, two at least.",
    )
    labeller_cap: float = Field(
        0.5, gt=0, le=1, description="Largest share of what a night reads that one person labelled."
    )
    sender_cap: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Largest share of what a night reads that came from one sender.",
    )
    keep: int = Field(
        3, ge=2, le=1000, description="Bundles that are kept, the serving one among them."
    )
    shadow_hours: float = Field(
        0.0, ge=0, le=720, description="Hours that a candidate judges along before it may serve."
    )
    shadow_messages: int = Field(
        0, ge=0, le=10_000_000, description="Mails that it must have judged by then."
    )
    shadow_disagree: float = Field(
        0.02, ge=0, le=1, description="Share of them that it may judge otherwise than the champion."
    )
    rollback_above: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Corrections per mail above which a new bundle is taken back by itself.",
    )
    rollback_hours: float = Field(
        24.0,
        ge=0,
        le=720,
        description="Hours after a promotion in which that is watched; 0: never.",
    )
    mlflow_url: str = Field(
        "", max_length=2000, description="MLflow server that hears of each night's figures."
    )

    @field_validator("trusted", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        """Lists come as TOML arrays or, from the environment, separated by commas."""
        if not isinstance(value, str):
            return value
        return [one.strip() for one in value.split(",") if one.strip()]

    @field_validator("schedule")
    @classmethod
    def _check_schedule(cls, value: str) -> str:
        if value.strip():
            parse_cron(value)
        return value.strip()

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The time zone of `schedule`."""
        return zoneinfo.ZoneInfo(self.timezone)

    @property
    def cores(self) -> int:
        """Threads to train on, of those that this process may use."""
        return self.threads or max(len(os.sched_getaffinity(0)) // 2, 1)
