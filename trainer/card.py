"""The model card (Mitchell et al. 2019) of a bundle as a Markdown page, from its own figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from filterd.model.bundle import SHIPPED, load
from filterd.pipeline import RENDERED_CHARACTERS
from trainer.corpora import SPAM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from filterd.model.bundle import Bundle

SPAM_HEADINGS = {
    "ham": "ham",
    "spam": "spam",
    "one_minus_roca_percent": "1-ROCA%",
    "recall_at_0.1_percent": "recall at 0.1% FP",
    "recall_at_0.5_percent": "recall at 0.5% FP",
    "false_positives": "FP",
    "false_negatives": "FN",
}
CLASS_HEADINGS = {"count": "texts", "accuracy": "accuracy", "macro_f1": "macro-F1"}
PAGE = """\
# Model card: {version}

Written by `make docs` from the shipped bundle (`.venv/bin/filterd models show --json`).

| | |
|---|---|
| what it does | one pass over a mail: {tasks} |
| base model | {base_model} ({base_licence}) |
| reads | the first {max_tokens} word pieces of subject, sender, link hosts, file names and text |
| beside the BERT | {linear} |
| renderer | {renderer_version} |
| size | {megabytes:.0f} MB int8 |
| trained | {created}: {epochs} epochs, seed {seed}, {seconds:.0f} s |
| gone on from | {start} |
| on | {cpu} ({machine}), torch {torch} |
| data | {data_digest} |

## Meant for

Marking unwanted mail and the mood of what people write, in English, in front of a mail server, with
people who look at the verdicts and put them right. Not meant to decide about people, and not as the
only ground for refusing mail.

## What it was trained on

Messages and sentences of the last pass, by corpus and split (what it had gone on from took its own
sample of the same corpora, with the same ones held out):

{data}

The corpora are public and old for the most part; only two hold mail of the last years, and ham in
English only. `own_letters` are templates written for filterd, in eight languages, for what the
corpora lack: receipts, codes, newsletters, complaints, today's fraud. Expect mail of a kind that is
not among them to score higher than it should, and put it right with `filterd label`.

## Spam: validation mails

Mails of the same corpora that it was not trained on, so these figures flatter it: mail of a kind it
has never seen is judged less well. FP and FN: mistakes at the threshold {threshold}, chosen for at
most 0.1% false positives here.

{spam}

## Sentiment

Validation, then the test split, which nothing was chosen on:

{sentiment}

{test}

## int8 against full precision

On the validation texts:

| | fp32 | int8 |
|---|---|---|
| AUC, spam | {auc_full} | {auc_int8} |
| ms of one core, {max_tokens} tokens | {ms_full} | {ms_int8} |
| MB | {mb_full:.0f} | {mb_int8:.0f} |
| same verdict, spam | | {same_spam:.2%} |
| same label, sentiment | | {same_sentiment:.2%} |

A bundle that loses more than 0.0005 of AUC or changes more than 0.5% of the verdicts is refused.
"""


def shipped_card() -> str:
    """The page for the bundle that ships, which is kept as docs/model-card.md."""
    return model_card(load(SHIPPED))


def model_card(bundle: Bundle) -> str:
    """The page for a bundle that `filterd-trainer bootstrap` made. KeyError for any other."""
    metrics = bundle.metrics
    provenance, quantization = metrics["provenance"], metrics["quantization"]
    megabytes = {name: size / 1e6 for name, size in quantization["bytes"].items()}
    named = {task.name: task for task in bundle.tasks}
    return PAGE.format(
        version=bundle.version,
        tasks="; ".join(f"{task.name} ({', '.join(task.labels)})" for task in bundle.tasks),
        base_model=bundle.base_model,
        base_licence=bundle.base_licence,
        max_tokens=bundle.max_tokens,
        linear=_linear(bundle),
        start=_start(provenance.get("started_from")),
        renderer_version=bundle.renderer_version,
        created=bundle.created[:10],
        data_digest=bundle.data_digest,
        seconds=provenance["seconds"],
        cpu=provenance["cpu"],
        machine=provenance["machine"],
        torch=provenance["torch"],
        epochs=provenance["recipe"]["epochs"],
        seed=provenance["recipe"]["seed"],
        data=_data_table(provenance["examples"]),
        threshold=named[SPAM].threshold,
        spam=_figures_table(metrics["validation"][SPAM], SPAM_HEADINGS),
        sentiment=_figures_table(metrics["validation"]["sentiment"], CLASS_HEADINGS),
        test=_figures_table(metrics["test"]["sentiment"], CLASS_HEADINGS),
        megabytes=megabytes["int8"],
        auc_full=quantization["auc"]["fp32"],
        auc_int8=quantization["auc"]["int8"],
        ms_full=quantization["ms"]["fp32"],
        ms_int8=quantization["ms"]["int8"],
        mb_full=megabytes["fp32"],
        mb_int8=megabytes["int8"],
        same_spam=quantization["same_decisions"][SPAM],
        same_sentiment=quantization["same_decisions"]["sentiment"],
    )


def _start(known: Mapping[str, Any] | None) -> str:
    if known is None:
        return "the base"
    epochs, seed = known["recipe"]["epochs"], known["recipe"]["seed"]
    this = f"{known['version']}: {epochs} epochs, seed {seed}, {known['seconds']} s"
    before = known.get("started_from")
    return this if before is None else f"{this}; that from {_start(before)}"


def _linear(bundle: Bundle) -> str:
    if bundle.linear is None:
        return "nothing"
    return (
        f"a linear model over hashed words and word pairs of the first {RENDERED_CHARACTERS:,} "
        f"characters; {bundle.linear.share} times its log odds of spam are added"
    )


def _data_table(counts: Mapping[str, int]) -> str:
    """Rows of corpus and label from "corpus label split" counts, a column per split."""
    splits = ("train", "validation", "test")
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for key, count in counts.items():
        corpus, label, split = key.split()
        rows.setdefault((corpus, label), {})[split] = count
    return _table(
        ("corpus", "label", *splits),
        ([*key, *(found.get(split, "–") for split in splits)] for key, found in rows.items()),
    )


def _figures_table(figures: Mapping[str, Any], headings: Mapping[str, str]) -> str:
    rows = [*figures["corpora"].items(), ("**all**", figures)]
    return _table(
        ("corpus", *headings.values()),
        ([name, *(_cell(found.get(key)) for key in headings)] for name, found in rows),
    )


def _cell(figure: float | None) -> str:
    return "–" if figure is None else str(figure)


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in row)} |" for row in lines)
