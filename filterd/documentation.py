"""What the settings say of themselves, for `filterd settings` and docs/settings.md."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticUndefined

from filterd.settings import ENVIRONMENT_PREFIX, FIXED_SETTINGS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_settings import BaseSettings

PAGE_WIDTH = 79


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as a person reads it; `value` and `default` as TOML would have them."""

    name: str
    value: str
    default: str
    is_default: bool
    description: str


def setting_rows(
    settings: BaseSettings | None = None, kind: type[BaseSettings] = Settings
) -> list[SettingRow]:
    """Every setting in the order of the class, with the values of `settings` if given."""
    rows = []
    for name, field in kind.model_fields.items():
        default = "the machine's" if field.default is PydanticUndefined else as_toml(field.default)
        value = default if settings is None else as_toml(getattr(settings, name))
        if name == "database" and settings is not None:
            value = _without_password(
                value, is_told=getattr(settings, "database_password_file", None) is None
            )
        is_default = settings is None or name not in settings.model_fields_set or value == default
        rows.append(SettingRow(name, value, default, is_default, field.description or ""))
    return rows


def settings_file(settings: Settings) -> Iterator[str]:
    """Lines of a settings file that says what is in force; defaults are commented out."""
    for row in setting_rows(settings):
        yield ""
        yield from textwrap.wrap(
            row.description, PAGE_WIDTH, initial_indent="# ", subsequent_indent="# "
        )
        yield f"{'#' if row.is_default else ''}{row.name} = {row.value}"


def settings_page(tables: Mapping[str, type[BaseSettings]]) -> str:
    """docs/settings.md, whole; `tables` are the other processes' tables of the same file."""
    *most, last = (f"`{name}`" for name in FIXED_SETTINGS)
    sources = "`--config`, `FILTERD_CONFIG`, `./filterd.toml`, `/etc/filterd/filterd.toml`"
    lines = [
        "# Settings",
        "",
        "Made from `filterd/settings.py` by `make docs`; a test fails when they differ.",
        "",
        f"Settings come from a TOML file (the first that is there of {sources})",
        f"and are overridden by environment variables: `{ENVIRONMENT_PREFIX}` and the name in",
        "capitals. `filterd settings` shows what is in force. A SIGHUP reads them anew;",
        f"{', '.join(most)} and {last} take a restart.",
        "",
        *_table(Settings),
    ]
    for name, kind in tables.items():
        prefix = kind.model_config.get("env_prefix")
        lines += [
            "",
            f"## `[{name}]`",
            "",
            f"Settings of `filterd-{name}`: the table `[{name}]` of the same file, overridden by",
            f"variables that begin with `{prefix}`.",
            "",
            *_table(kind),
        ]
    return "\n".join(lines) + "\n"


def _table(kind: type[BaseSettings]) -> Iterator[str]:
    yield "| setting | default | what it does |"
    yield "|---|---|---|"
    for row in setting_rows(kind=kind):
        description = row.description.replace("|", "\\|")
        yield f"| `{row.name}` | `{row.default}` | {description} |"


def as_toml(value: Any) -> str:
    """A value the way it stands in a settings file."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(as_toml(one) for one in value) + "]"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(str(value), ensure_ascii=False)  # TOML's basic strings are JSON's


def _without_password(url: str, *, is_told: bool) -> str:
    """As it may be seen; where the settings hold the password, a sign stands in its place."""
    scheme, separator, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    if not at or ":" not in user:
        return url
    return f"{scheme}{separator}{user.partition(':')[0]}{':…' if is_told else ''}@{host}"
