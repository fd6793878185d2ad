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
    "ham": "ham",
    "spam": "spam",
    "one_minus_roca_percent": "1-ROCA%",
    "recall_at_0.1_percent": "R@0.1%",
    "recall_at_0.5_percent": "R@0.5%",
    "accuracy": "accuracy",
    "f1": "F1",
    "false_positives": "FP",
    "false_negatives": "FN",
}
FOLD_MODELS = {"tfidf": "TF-IDF + LR", "bert": "BERT", "both": "both"}
# At even odds: a fold has no mail to choose a threshold on.
FOLD_COLUMNS = {
    "ham": "ham",
    "spam": "spam",
    "one_minus_roca_percent": "1-ROCA%",
    "recall_at_0.1_percent": "R@0.1%",
    "recall_at_0.5_percent": "R@0.5%",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}
CLASS_COLUMNS = {"count": "texts", "accuracy": "accuracy", "macro_f1": "macro-F1"}
REPLAY_ROWS = {
    "ham": "ham",
    "spam": "spam",
    "one_minus_roca_percent": "1-ROCA%",
    "lam_percent": "lam%",
    "calibration_error": "calibration error",
    "recall_at_0.1_percent_fpr": "recall at 0.1% FPR",
    "accuracy": "accuracy",
    "false_positives": "ham flagged (FP)",
    "false_negatives": "spam missed (FN)",
}


def figures_table(figures: dict[str, Any]) -> RenderableType:
    """Tables of `score_tasks`' figures: one per task by corpus, and by language where known."""
    tables = []
    for task, found in figures.items():
        if isinstance(found, dict):
            tables.append(_task_table(task, "corpus", found["corpora"], found))
            if "languages" in found:
                tables.append(_task_table(task, "language", found["languages"], found))
    return Group(*tables)


def replay_table(summary: dict[str, Any]) -> RenderableType:
    """The summary of a replayed stream."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(f"bundle {summary['model']}, spam from {summary['threshold']} on")
    table.add_column("", justify="right", no_wrap=True)
    for key, name in REPLAY_ROWS.items():
        table.add_row(name, format_figure(summary[key]))
    table.add_row("messages/s", f"{summary['messages_per_second']:.1f}")
    return table


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


def folds_table(figures: dict[str, Any]) -> Table:
    """`trainer.crossval`'s figures: for each corpus left out a row per model."""
    table = Table(title="each corpus judged by models that never saw it", box=box.SIMPLE_HEAD)
    for name in ("left out", "model"):
        table.add_column(name, overflow="fold")
    for name in FOLD_COLUMNS.values():
        table.add_column(name, justify="right", no_wrap=True)
    for corpus, models in figures.items():
        for model, found in models.items():
            cells = [format_figure(found.get(key)) for key in FOLD_COLUMNS]
            table.add_row(corpus, FOLD_MODELS[model], *cells)
        table.add_section()
    return table


def format_figure(figure: float | None) -> str:
    """A figure as tables show it: counts whole, all else to four places."""
    if figure is None:
        return "–"
    return f"{figure:,}" if isinstance(figure, int) else f"{figure:.4f}"


def columns_of(task: str) -> dict[str, str]:
    """The figures of a task that tables show, and their headings."""
    return SPAM_COLUMNS if task == SPAM else CLASS_COLUMNS


def _task_table(task: str, what: str, rows: dict[str, Any], total: dict[str, Any]) -> Table:
    columns = columns_of(task)
    table = Table(title=task, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(what, overflow="fold")
    for name in columns.values():
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in [*rows.items(), ("all", total)]:
        table.add_row(name, *(format_figure(found.get(key)) for key in columns))
    return table
