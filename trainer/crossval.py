"""Leave a corpus out: trained on the others, judged on mail of a kind that it has never seen.

The only figures here that say how a filter fares at a site whose mail nobody has collected. Each
fold leaves its examples, checkpoints and scores in its own folder, and is not computed twice.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from filterd.model.bundle import TOKENIZER
from filterd.model.runtime import open_tokenizer
from trainer.corpora import SPAM
from trainer.dataset import (
    TASKS,
    Example,
    Plan,
    Seen,
    choose,
    load_examples,
    read_examples,
    save_examples,
    tally,
)
from trainer.errors import TrainingError
from trainer.evaluate import spam_figures
from trainer.finetune import Recipe, Trainer
from trainer.linear import fit_linear, margins
from trainer.network import start_from
from trainer.publish import Draft, publish
from trainer.readings import read_as

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.observer import Observer
    from trainer.pretrained import BaseModel

    Margins = NDArray[np.float64]

TRAIN, HELD, SCORES, SETTINGS = "train.jsonl", "held.jsonl", "scores.jsonl", "fold.json"
BUNDLE = "bundle"
LINEAR, BERT, BOTH = "tfidf", "bert", "both"


@dataclass(frozen=True, slots=True)
class Fold:
    """Corpora to leave out together, all else to train on, and where the fold keeps its files.

    `held` names each corpus; as `name@YYYY-MM-DD` only its mails that arrived on that day or later.
    At most `limit` of the mails left out are judged, per corpus and label. `reading` is how the
    texts are laid out (`trainer.readings`); `bundle` whether the network is published, too.
    """

    held: tuple[str, ...]
    folder: Path
    limit: int
    plan: Plan
    recipe: Recipe
    reading: str = "whole"
    bundle: bool = False


def run_fold(
    fold: Fold, corpora: Path, base: BaseModel, share: float, observer: Observer
) -> dict[str, Any]:
    """Figures per corpus left out and model: {corpus: {"tfidf" | "bert" | "both": figures}}.

    `share` is what the linear model's margin counts for beside the BERT's. A fold that is asked
    for its bundle leaves it in its folder (BUNDLE). Raises TrainingError if the folder holds a
    fold of other settings, CorporaError if a corpus is not there.
    """
    claim_fold(fold)
    observer.stage(f"without {', '.join(fold.held)}")
    train, held = gather_fold(fold, corpora, observer)
    scores = fold.folder / SCORES
    if not scores.exists():
        save_scores(scores, held, score_fold(fold, base, train, held, observer))
    if fold.bundle and not (fold.folder / BUNDLE).exists():
        publish(draft_of(fold, base), train, observer)
    return fold_figures(scores, share)


def claim_fold(fold: Fold) -> None:
    """Bind the folder to the fold's settings, or find that it is bound to them already."""
    settings = {
        "held": list(fold.held),
        "limit": fold.limit,
        "plan": asdict(fold.plan),
        "recipe": asdict(fold.recipe),
        "reading": fold.reading,
    }
    text = json.dumps(settings, indent=2, sort_keys=True)
    file = fold.folder / SETTINGS
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise TrainingError(f"{fold.folder}: holds a fold with other settings; remove it")
    fold.folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def gather_fold(
    fold: Fold, corpora: Path, observer: Observer
) -> tuple[list[Example], list[Example]]:
    """What the fold trains on (train and validation), and the mails it is judged on."""
    train, held = fold.folder / TRAIN, fold.folder / HELD
    if not held.exists():
        seen = Seen()
        plan = train_plan(fold)
        save_examples(train, read_examples(corpora, plan, observer.progress, seen))
        names = tuple(name.partition("@")[0] for name in fold.held)
        others = replace(
            fold.plan,
            only=names,
            cut=plan.cut,
            after_cut=True,
            limit=fold.limit,
            variants=0,
            by_share=False,
            letters=False,
        )
        save_examples(held, read_examples(corpora, others, observer.progress, seen))
    examples, judged = (
        read_as(fold.reading, load_examples(file), fold.recipe.max_tokens) for file in (train, held)
    )
    observer.data(tally(examples))
    return examples, judged


def train_plan(fold: Fold) -> Plan:
    """What the fold trains on: all but the corpora held, or but their mails from a day on.

    Raises TrainingError for a day that is none, or more than one.
    """
    whole = tuple(name for name in fold.held if "@" not in name)
    later = [name.split("@", 1) for name in fold.held if "@" in name]
    if len(later) > 1:
        raise TrainingError(f"{'+'.join(fold.held)}: one corpus at a time can be cut by a day")
    for corpus, day in later:
        try:
            date.fromisoformat(day)
        except ValueError:
            raise TrainingError(f"{corpus}@{day}: no day; write YYYY-MM-DD") from None
    cut = (later[0][0], later[0][1]) if later else None
    return replace(fold.plan, exclude=(*fold.plan.exclude, *whole), cut=cut)


def score_fold(
    fold: Fold,
    base: BaseModel,
    train: Sequence[Example],
    held: Sequence[Example],
    observer: Observer,
) -> dict[str, Margins]:
    """Margins of spam over ham [held] of the BERT and of TF-IDF, both trained on `train`."""
    observer.stage("TF-IDF and logistic regression")
    linear = fit_linear(choose(train, SPAM, "train"), 0.0)
    observer.stage("fine-tuning")
    torch.manual_seed(fold.recipe.seed)  # the heads of all folds begin alike
    trainer = Trainer(
        start_from(base, TASKS),
        open_tokenizer(base.tokenizer, fold.recipe.max_tokens),
        fold.recipe,
        fold.folder,
    )
    trainer.run(
        [each for each in train if each.split == "train"],
        [each for each in train if each.split == "validation"],
        observer.step,
    )
    observer.stage("judging what was left out")
    logits = trainer.predict(held)[SPAM]
    texts = [each.texts[0] for each in held]
    return {LINEAR: margins(linear, texts), BERT: logits[:, 1] - logits[:, 0]}


def draft_of(fold: Fold, base: BaseModel) -> Draft:
    """The fold's network as a bundle to be, named after what it has never seen."""
    shutil.copyfile(base.tokenizer, fold.folder / TOKENIZER)
    return Draft(
        work=fold.folder,
        out=fold.folder / BUNDLE,
        version=f"without-{fold.folder.name}".replace("+", "-").replace("@", "-from-"),
        base=base,
        max_tokens=fold.recipe.max_tokens,
        seed=fold.recipe.seed,
        provenance={"held": list(fold.held), "recipe": asdict(fold.recipe)},
    )


def save_scores(file: Path, held: Sequence[Example], scores: dict[str, Margins]) -> None:
    """A JSON line per mail: its corpus, label, group and margins; whole or not there."""
    temporary = file.with_suffix(".writing")
    with temporary.open("w", encoding="utf-8") as lines:
        for row, each in enumerate(held):
            found = {name: round(float(values[row]), 5) for name, values in scores.items()}
            known = {"corpus": each.corpus, "label": each.labels[SPAM], "group": each.group}
            lines.write(json.dumps({**known, **found}) + "\n")
    temporary.rename(file)


def fold_figures(file: Path, share: float) -> dict[str, Any]:
    """Figures of both models and of their sum on the scores that a fold left."""
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    figures: dict[str, Any] = {}
    for corpus in sorted({row["corpus"] for row in rows}):
        found = [row for row in rows if row["corpus"] == corpus]
        is_spam = np.array([row["label"] == "spam" for row in found])
        linear, bert = (np.array([row[name] for row in found]) for name in (LINEAR, BERT))
        margins_by_model = {LINEAR: linear, BERT: bert, BOTH: bert + share * linear}
        figures[corpus] = {
            name: spam_figures(1 / (1 + np.exp(-values)), is_spam, 0.5)
            for name, values in margins_by_model.items()
        }
    return figures
