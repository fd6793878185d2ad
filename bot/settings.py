"""The bot's settings: `[bot]` of filterd's settings file, then `FILTERD_BOT_…` variables.

Tokens are read from files or from the variables that Slack's own tools use, never from the
settings file, and no text of ours ever holds one.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from bot.access import Role, Rules
from filterd.errors import SettingsError
from filterd.settings import ENVIRONMENT_PREFIX, FileSettings, ZoneName, split_address

if TYPE_CHECKING:
    from collections.abc import Mapping


TABLE = "bot"
PREFIX = f"{ENVIRONMENT_PREFIX}{TABLE.upper()}_"
# Users (W: of an Enterprise Grid), user groups, channels and private channels.
SLACK_ID = re.compile(r"[UWSCG][A-Z0-9]{4,}")
CHANNEL_ID = re.compile(r"[CG][A-Z0-9]{4,}")

SlackIds = Annotated[tuple[str, ...], NoDecode]


class BotSettings(FileSettings):
    """All settings of `filterd-bot serve`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, validate_default=False
    )

    channel: str = Field(
        "", description="Id of the channel where cards, digest and, if not told apart, alerts go."
    )
    alerts_channel: str = Field("", description="Id of the channel for alerts; `channel` if empty.")
    cards: Literal["doubtful", "spam", "all", "none"] = Field(
        "doubtful",
        description="Which mail gets a card as it comes: near the threshold or disputed by what "
        "staff taught (doubtful), what is taken for spam, all, or none: then `/filterd queue` and "
        "the digest ask.",
    )
    cards_per_hour: int = Field(
        60, ge=1, le=3000, description="Cards at most in an hour; what is over waits in the queue."
    )
    excerpt: bool = Field(default=True, description="Whether cards show the beginning of the mail.")
    viewers: SlackIds = Field(
        (), description="Who may look: ids of users, user groups, or channels for their members."
    )
    labellers: SlackIds = Field((), description="Who may label. Nobody named at all: the channel.")
    trusted: SlackIds = Field((), description="Who may also label many at once and undo others'.")
    admins: SlackIds = Field((), description="Who may also pause, retrain and roll back.")
    timezone: ZoneName = Field("UTC", description="Of digest and days, e.g. Europe/Berlin.")
    digest_at: time | None = Field(
        time(8), description="When the digest comes, local time; empty for none."
    )
    mode: Literal["socket", "http"] = Field(
        "socket",
        description="Socket Mode needs no public address; http takes Slack's requests at `listen`.",
    )
    listen: str = Field(
        "127.0.0.1:3000",
        description="In mode http, HOST:PORT behind your TLS proxy; requests come to "
        "/slack/events, and /healthz answers.",
    )
    bot_token_file: Path | None = Field(
        None, description="File with the bot token (xoxb-…); else the variable SLACK_BOT_TOKEN."
    )
    app_token_file: Path | None = Field(
        None,
        description="File with the app token (xapp-…) for Socket Mode; else SLACK_APP_TOKEN.",
    )
    signing_secret_file: Path | None = Field(
        None, description="File with the signing secret for mode http; else SLACK_SIGNING_SECRET."
    )
    api_url: str = Field(
        "https://slack.com/api/", description="Slack's Web API; GovSlack has another one."
    )

    @field_validator("viewers", "labellers", "trusted", "admins", mode="before")
    @classmethod
    def _split_ids(cls, value: object) -> object:
        """Lists come as TOML arrays or, from the environment, separated by commas or spaces."""
        return (
            [one for one in re.split(r"[,\s]+", value) if one] if isinstance(value, str) else value
        )

    @field_validator("viewers", "labellers", "trusted", "admins")
    @classmethod
    def _check_ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not SLACK_ID.fullmatch(one):
                raise ValueError(
                    f"{one!r} is no Slack id of a user (U…), user group (S…) or channel (C…)"
                )
        return value

    @field_validator("channel", "alerts_channel")
    @classmethod
    def _check_channel(cls, value: str) -> str:
        if value and not CHANNEL_ID.fullmatch(value):
            raise ValueError(
                "is no channel id (C…); Slack shows it at the end of the channel's details"
            )
        return value

    @field_validator("digest_at", mode="before")
    @classmethod
    def _no_time(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("listen")
    @classmethod
    def _check_address(cls, value: str) -> str:
        split_address(value)
        return value

    @field_validator("api_url")
    @classmethod
    def _end_with_slash(cls, value: str) -> str:
        if not value.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("must begin with https://")
        return value.rstrip("/") + "/"

    @model_validator(mode="after")
    def _need_channel(self) -> BotSettings:
        if not self.channel:
            raise ValueError(
                "the bot needs `channel`, the id of the channel for its cards: set it in [bot] "
                f"or as {PREFIX}CHANNEL"
            )
        return self

    @property
    def alerts(self) -> str:
        """The channel for alerts."""
        return self.alerts_channel or self.channel

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The site's time zone."""
        return zoneinfo.ZoneInfo(self.timezone)


class Tokens:
    """What Slack knows us by. `app` is for Socket Mode, `signing_secret` for mode http."""

    def __init__(self, bot: str, app: str = "", signing_secret: str = "") -> None:
        self.bot = SecretStr(bot)
        self.app = SecretStr(app)
        self.signing_secret = SecretStr(signing_secret)


def read_tokens(settings: BotSettings, environment: Mapping[str, str]) -> Tokens:
    """The tokens that the mode needs. Raises SettingsError, which names file or variable."""
    bot = _secret(settings.bot_token_file, "SLACK_BOT_TOKEN", "xoxb-", environment)
    if settings.mode == "socket":
        return Tokens(
            bot, _secret(settings.app_token_file, "SLACK_APP_TOKEN", "xapp-", environment)
        )
    secret = _secret(settings.signing_secret_file, "SLACK_SIGNING_SECRET", "", environment)
    return Tokens(bot, signing_secret=secret)


def rules(settings: BotSettings) -> Rules:
    """Who may do what. If nobody is named at all, the members of the channel may label."""
    named = (
        (Role.VIEWER, settings.viewers),
        (Role.LABELLER, settings.labellers),
        (Role.TRUSTED, settings.trusted),
        (Role.ADMIN, settings.admins),
    )
    if not any(ids for _, ids in named):
        return Rules(channels={settings.channel: Role.LABELLER})
    by_kind: dict[str, dict[str, Role]] = {"users": {}, "groups": {}, "channels": {}}
    kinds = {"U": "users", "W": "users", "S": "groups", "C": "channels", "G": "channels"}
    for role, ids in named:
        for one in ids:
            by_kind[kinds[one[0]]][one] = role
    return Rules(**by_kind)


def _secret(path: Path | None, variable: str, prefix: str, environment: Mapping[str, str]) -> str:
    place, text = f"{variable}", environment.get(variable, "")
    if path is not None:
        place = str(path)
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise SettingsError(f"{path}: cannot read the token: {reason}") from None
    text = text.strip()
    if not text:
        raise SettingsError(f"{place}: not set; docs/slack.md says where Slack shows it")
    if not text.startswith(prefix):
        raise SettingsError(f"{place}: is another kind of token, it should begin with {prefix}")
    return text
