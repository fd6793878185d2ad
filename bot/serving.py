"""Which model serves, and how good it was when it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.answers import Serving
from bot.words import share
from filterd.errors import BundleError
from filterd.model.bundle import load
from filterd.model.champion import champion_path
from filterd.store.models import champion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from filterd.store.database import Database


def serving(database: Database, models: Path) -> Serving:
    """The bundle that should serve. Raises StoreError."""
    row = champion(database)
    path = champion_path(row, models)
    try:
        bundle = load(path)
    except BundleError as error:
        version = path.name if row is None else row.version
        return Serving(version, row, {}, str(error))
    return Serving(bundle.version, row, _figures(bundle.metrics), "")


def _figures(metrics: Mapping[str, Any]) -> dict[str, str]:
    """What of a bundle's metrics says most to people; what an old bundle lacks is left out."""
    validation = metrics.get("validation", {})
    spam, sentiment = validation.get("spam", {}), validation.get("sentiment", {})
    found = {
        "spam found": spam.get("recall"),
        "right when it says spam": spam.get("precision"),
        "sentiment right": sentiment.get("accuracy"),
    }
    return {name: share(value) for name, value in found.items() if value is not None}
