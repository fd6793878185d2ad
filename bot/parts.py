"""What the bot is put together from, for whoever answers people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from bot.desk import Desk
    from bot.explainer import Explainer
    from bot.gate import Gate
    from bot.pictures import Pictures
    from bot.rendering import Rendering
    from bot.settings import BotSettings
    from bot.showing import Show


@dataclass(frozen=True, slots=True)
class Parts:
    """Built once by `bot.app`."""

    settings: BotSettings
    models: Path
    desk: Desk
    gate: Gate
    explainer: Explainer
    rendering: Rendering
    pictures: Pictures
    show: Show
    now: Callable[[], datetime]
