"""Every setting of the mail path: typed, bounded and documented.

Defaults run with no file at all. A TOML file overrides them, `FILTERD_…` variables override
the file. `docs/settings.md` is made from this module by `make docs` and a test compares them.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import socket
import tomllib
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from filterd.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails
    from pydantic_settings import PydanticBaseSettingsSource

    from filterd.smtp.transaction import NextHopOptions

ENVIRONMENT_PREFIX = "FILTERD_"
CONFIG_VARIABLE = "FILTERD_CONFIG"
SEARCH_PATH = (Path("filterd.toml"), Path("/etc/filterd/filterd.toml"))
# Read once by the supervisor; a SIGHUP cannot change them.
FIXED_SETTINGS = (
    "listen",
    "workers",
    "metrics",
    "database",
    "database_password_file",
    "user",
    "group",
)
# Not quoted when they are wrong.
SECRET_SETTINGS = ("database",)
# Tables of the same file that belong to the other two processes.
FOREIGN_TABLES = ("bot", "trainer")

Table = TypeVar("Table", bound=BaseSettings)

Networks = Annotated[
    tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...],
    NoDecode,
]


def _known_zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError("is no time zone; write e.g. Europe/Berlin") from None
    return value


# The name of a time zone that this machine knows.
ZoneName = Annotated[str, AfterValidator(_known_zone)]
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class FileSettings(BaseSettings):
    """Settings of one process: its part of the file, which the environment overrides."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose values come in as arguments."""
        return env_settings, init_settings


class Settings(FileSettings):
    """All settings of `filterd serve` and of the commands that look into its data."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, validate_default=False
    )

    listen: str = Field("127.0.0.1:10025", description="Where mail comes in: HOST:PORT.")
    user: str = Field(
        "",
        description="Whom filterd becomes when root starts it, once its ports are bound; best a "
        "user of its own. Not needed where systemd does that.",
    )
    group: str = Field("", description="The group that goes with `user`; that user's own if empty.")
    next_hop: str = Field(
        "maildir:var/mail",
        description="Where mail goes: smtp://HOST:PORT, lmtp://HOST:PORT, lmtp:///SOCKET or "
        "maildir:PATH.",
    )
    workers: int = Field(
        1, ge=1, le=256, description="Processes that share the port; one per core is a good start."
    )
    hostname: str = Field(
        default_factory=socket.gethostname,
        description="The name in our greeting and in EHLO to the next hop; the machine's own "
        "when not set.",
    )
    allowed_clients: Networks = Field(
        LOOPBACK,
        description="Networks that may send mail to us; everyone else is refused at connect. Must "
        "be set where `listen` can be reached from other machines.",
    )
    trusted_peers: Networks = Field(
        LOOPBACK,
        description="Networks whose XFORWARD is believed and passed on, and whose PROXY headers "
        "are believed (`proxy_protocol`).",
    )
    max_message_size: int = Field(
        52_428_800, ge=1024, description="Largest message taken, bytes; offered as SIZE."
    )
    max_recipients: int = Field(1000, ge=1, description="Recipients in one transaction.")
    max_line_length: int = Field(65_536, ge=1000, description="Longest line in a message, bytes.")
    max_header_size: int = Field(
        1_048_576, ge=1024, description="Largest header section of a message, bytes."
    )
    max_connections: int = Field(
        1000,
        ge=1,
        description="Open client connections of one worker; then the one that has been silent "
        "longest makes room, or else the newcomer is answered 421.",
    )
    max_connections_per_client: int | None = Field(
        None,
        ge=1,
        description="Of those, how many one client's address may have; more are answered 421. No "
        "bound of its own when not set.",
    )
    command_timeout: float = Field(
        300.0, gt=0, description="Seconds a client may be silent between commands (RFC 5321: 300)."
    )
    data_timeout: float = Field(
        600.0, gt=0, description="Seconds a client may take to send one message."
    )
    proxy_protocol: bool = Field(
        default=False,
        description="Expect HAProxy's PROXY line (v1 or v2) in front of every connection.",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file with our certificate chain; with it we offer STARTTLS."
    )
    tls_key: Path | None = Field(None, description="PEM file with the key of `tls_certificate`.")
    bare_newline: Literal["normalize", "reject"] = Field(
        "normalize",
        description="A line end other than CRLF inside a message: made CRLF, or the message "
        "refused (SMTP smuggling).",
    )
    drain_timeout: float = Field(
        30.0, ge=0, description="Seconds that open transactions get to finish on SIGTERM."
    )

    next_hop_tls: Literal["none", "opportunistic", "required"] = Field(
        "none", description="STARTTLS towards the next hop."
    )
    next_hop_connect_timeout: float = Field(
        10.0, gt=0, description="Seconds to wait for a connection to the next hop."
    )
    next_hop_timeout: float = Field(
        300.0, gt=0, description="Seconds to wait for a reply of the next hop."
    )
    next_hop_pool: int = Field(
        20, ge=0, description="Idle connections to the next hop kept open by one worker."
    )
    next_hop_idle: float = Field(
        30.0, gt=0, description="Seconds an idle connection to the next hop is kept."
    )

    mode: Literal["tag", "shadow", "reject", "quarantine"] = Field(
        "tag",
        description="What a verdict does: headers only (tag), nothing at all but a record "
        "(shadow), 550 above `reject_threshold` (reject), or spam to another next hop "
        "(quarantine).",
    )
    quarantine: str = Field("", description="Next hop for spam in mode quarantine; a URL.")
    spam_threshold: float | None = Field(
        None, ge=0, le=1, description="Spam from this probability on; the bundle's own if not set."
    )
    reject_threshold: float = Field(
        0.999, ge=0, le=1, description="In mode reject, refuse from this probability on."
    )
    on_failure: Literal["pass", "tempfail"] = Field(
        "pass",
        description="When a message cannot be judged: deliver it unjudged and say so in a header, "
        "or answer 451.",
    )
    on_overload: Literal["defer", "pass"] = Field(
        "defer",
        description="When more mail comes than can be judged within `deadline`: answer 451 4.3.2, "
        "so that it is sent again, or take it all and let `on_failure` decide. With mode shadow it "
        "is always taken.",
    )
    deadline: float = Field(5.0, gt=0, description="Seconds that judging one message may take.")
    cascade: bool = Field(
        default=False,
        description="Spare the model mail that is spam beyond doubt by staff's labels alone, from "
        "500 labels on. It then has no sentiment.",
    )
    subject_tag: str = Field(
        "", max_length=64, description="Text put before the subject of spam; breaks DKIM."
    )
    spam_headers: bool = Field(
        default=True,
        description="Also write X-Spam-Flag, X-Spam-Score and X-Spam-Status, which Sieve and "
        "Outlook rules know.",
    )

    database: str = Field(
        "sqlite:///var/filterd.db",
        repr=False,  # it may hold a password
        description="Where records and labels live: sqlite:///PATH or "
        "postgresql://USER:PASSWORD@HOST/NAME.",
    )
    database_password_file: Path | None = Field(
        None, description="File with the password for `database`, which then needs none."
    )
    text_key_file: Path | None = Field(
        None,
        description="File with the keys that seal what is kept of mail: text, head, embedding and "
        "reasons on cards; `filterd db key` makes one. Needs the extra `encryption`.",
    )
    store_text: Literal["all", "labelled", "none"] = Field(
        "all",
        description="Which mails' model text is kept in the database: all within retention, only "
        "labelled ones, or none.",
    )
    retention_days: int = Field(
        90, ge=1, description="Days after which records without a label are removed."
    )
    models: Path = Field(Path("var/models"), description="Folder that holds published bundles.")
    metrics: str = Field(
        "127.0.0.1:9925",
        description="HOST:PORT of /metrics, /healthz and /readyz; empty switches them off.",
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="Log lines as JSON or text; auto is text on a terminal."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log lines that are written."
    )

    @field_validator("allowed_clients", "trusted_peers", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        """Lists come as TOML arrays or, from the environment, separated by commas or spaces."""
        return re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value

    @field_validator("listen", "metrics")
    @classmethod
    def _check_address(cls, value: str) -> str:
        if value:
            split_address(value)
        return value

    @model_validator(mode="after")
    def _check_pairs(self) -> Settings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key must be set together")
        if self.mode == "quarantine" and not self.quarantine:
            raise ValueError("mode quarantine needs `quarantine`, the next hop for spam")
        if not self.listen:
            raise ValueError("listen must name HOST:PORT")
        return self


def split_address(value: str) -> tuple[str, int]:
    """HOST:PORT or [V6]:PORT to its parts; ValueError says what is wrong with it."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:  # 16-bit port
        raise ValueError(f"{value!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104  # ":25" means all, as in Postfix


def find_settings_file(
    config: Path | None = None, environment: Mapping[str, str] | None = None
) -> Path | None:
    """The file that `load_settings` reads; None if there is none and none was named."""
    environment = os.environ if environment is None else environment
    if config is not None:
        return config
    if CONFIG_VARIABLE in environment:
        return Path(environment[CONFIG_VARIABLE])
    return next((candidate for candidate in SEARCH_PATH if _is_there(candidate)), None)


def next_hop_options(settings: Settings) -> NextHopOptions:
    """How connections to next hops are made, from the settings."""
    # Read by every command, and few of them need SMTP.
    from filterd.smtp.transaction import NextHopOptions  # noqa: PLC0415

    return NextHopOptions(
        hostname=settings.hostname,
        tls=settings.next_hop_tls,
        connect_timeout=settings.next_hop_connect_timeout,
        timeout=settings.next_hop_timeout,
        pool_size=settings.next_hop_pool,
        idle=settings.next_hop_idle,
    )


def load_settings(
    config: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Settings from file and environment.

    `config` (or FILTERD_CONFIG) must exist if named; else the first of `SEARCH_PATH` that does is
    read. Raises SettingsError, one line that names the file or variable and the key.
    """
    environment = os.environ if environment is None else environment
    path = find_settings_file(config, environment)
    values = _read_toml(path) if path else {}
    own = {key: value for key, value in values.items() if key not in FOREIGN_TABLES}
    return _with_password(_checked(Settings, own, path, environment))


def load_table(
    kind: type[Table],
    table: str,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Table:
    """The settings of another process: `[table]` of the same file, and FILTERD_TABLE_… variables.

    `kind` reads its own environment prefix. Raises SettingsError as `load_settings` does.
    """
    environment = os.environ if environment is None else environment
    path = find_settings_file(config, environment)
    values = _read_toml(path).get(table, {}) if path else {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: '{table}' must be a table: write [{table}]")
    return _checked(kind, values, path, environment)


def read_secret(path: Path, what: str) -> str:
    """What a file holds that is meant for nobody's eyes; SettingsError, which does not quote it."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SettingsError(f"{path}: cannot read the {what}: {reason}") from None
    if not text:
        raise SettingsError(f"{path}: holds no {what}")
    return text


def _with_password(settings: Settings) -> Settings:
    """The settings with the whole URL of the database, from here on in this process alone."""
    if settings.database_password_file is None:
        return settings
    from filterd.store.engine import with_password  # noqa: PLC0415  # few commands need it

    password = read_secret(settings.database_password_file, "password")
    return settings.model_copy(update={"database": with_password(settings.database, password)})


def _is_there(path: Path) -> bool:
    """Whether the file exists; one that may not be looked at counts, so that reading says why."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path}: cannot read the settings file: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    return values


def _checked(
    kind: type[Table], values: dict[str, Any], path: Path | None, environment: Mapping[str, str]
) -> Table:
    prefix = str(kind.model_config.get("env_prefix"))
    _refuse_unknown(kind, values, f"{path}: unknown setting", "")
    variables = _from_environment(environment, prefix)
    _refuse_unknown(kind, variables, "unknown environment variable", prefix)
    try:
        return kind(**values)
    except ValidationError as error:
        raise SettingsError(_first_error(error.errors()[0], path, environment, prefix)) from None


def _from_environment(environment: Mapping[str, str], prefix: str) -> dict[str, str]:
    foreign = {f"{ENVIRONMENT_PREFIX}{table.upper()}_" for table in FOREIGN_TABLES} - {prefix}
    return {
        name.removeprefix(prefix).lower(): name
        for name in environment
        if name.startswith(prefix)
        and name != CONFIG_VARIABLE
        and not name.startswith(tuple(foreign))
    }


def _refuse_unknown(
    kind: type[BaseSettings], values: Mapping[str, Any], what: str, prefix: str
) -> None:
    for key in values:
        if key in kind.model_fields:
            continue
        close = difflib.get_close_matches(key, kind.model_fields, n=1)
        hint = f" (did you mean {_spell(close[0], prefix)}?)" if close else ""
        where = "`filterd settings` lists" if kind is Settings else "docs/settings.md has"
        raise SettingsError(f"{what} {_spell(key, prefix)}{hint}; {where} them all")


def _spell(key: str, prefix: str) -> str:
    return f"{prefix}{key.upper()}" if prefix else f"'{key}'"


def _first_error(
    error: ErrorDetails, path: Path | None, environment: Mapping[str, str], prefix: str
) -> str:
    key = str(error["loc"][0]) if error["loc"] else ""
    variable = f"{prefix}{key.upper()}"
    place = variable if variable in environment else f"{path}: '{key}'" if path else f"'{key}'"
    message = error["msg"].removeprefix("Value error, ")
    if not key:
        return f"{path}: {message}" if path else message
    if key in SECRET_SETTINGS:
        return f"{place}: {message}"
    return f"{place}: {message} (got {error['input']!r})"
