"""Figures as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.table import Table

from trainer.corpora import SPAM

if TYPE_CHECKING:
    from rich.console import RenderableType

    from filterd.model.bundle import Bundle

# R@x%: recall where x% of the ham is flagged; FP and FN: mistakes at the bundle's threshold.
SPAM_COLUMNS = {
    "one_minus_roca_percent": "1-ROCA%",
    "recall_at_0.1_percent": "R@0.1%",
    "recall_at_0.5_percent": "R@0.5%",
    "accuracy": "accuracy",
    "f1": "F1",
    "false_positives": "FP",
    "false_negatives": "FN",
}


def figures_table(figures: dict[str, Any]) -> RenderableType:
    """Tables of `score_tasks`' figures, one per task, a row per corpus."""
    return Group(
        *(_task_table(task, found) for task, found in figures.items() if isinstance(found, dict))
    )


def bundle_table(bundle: Bundle) -> RenderableType:
    """What a new bundle can do, on validation and test, and what int8 changed."""
    quantization = bundle.metrics["quantization"]
    table = Table("int8 against fp32", "fp32", "int8", title=f"bundle {bundle.version}")
    for name in ("auc", "ms", "bytes"):
        found = quantization[name]
        table.add_row(name, str(found.get("fp32")), str(found.get("int8")))
    table.add_row("same decisions", "", str(quantization["same_decisions"]))
    return Group(
        "validation",
        figures_table(bundle.metrics["validation"]),
        "test",
        figures_table(bundle.metrics["test"]),
        table,
    )


def _task_table(task: str, figures: dict[str, Any]) -> Table:
    columns = SPAM_COLUMNS if task == SPAM else {"accuracy": "accuracy", "macro_f1": "macro-F1"}
    counts = ("ham", "spam") if task == SPAM else ("count",)
    table = Table(title=task, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("corpus", overflow="fold")
    for name in (*counts, *columns.values()):
        table.add_column(name, justify="right", no_wrap=True)
    for corpus, found in [*figures["corpora"].items(), ("all", figures)]:
        cells = [_cell(found.get(key)) for key in (*counts, *columns)]
        table.add_row(corpus, *cells)
    return table


def _cell(figure: float | None) -> str:
    return "–" if figure is None else str(figure)
