"""Can the corpus be told from what the model reads? A linear probe that tries to name it.

Where a corpus holds mostly one label, what names the corpus predicts the label, and a model will
take it. Topics always tell something; what must not turn up among the telling words is how mail
came to be collected: list tags, hosts of archives, names of filters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import cross_val_predict

from trainer.corpora import SPAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.dataset import Example

FEWEST = 40  # mails of a corpus and label; fewer say nothing
FOLDS = 4
TELLING = 8  # words shown for each corpus
# As the linear model sees words, so that what tells here could be learnt there.
TERM = r"(?u)[^\W_]{2,30}|[!?$€£%]{1,3}"


@dataclass(frozen=True, slots=True)
class Told:
    """How well the mails of one label are told apart by corpus.

    `recall` is by corpus, of mails that the probe was not fitted on; `chance` is what guessing
    gives. `words` are those that speak most for each corpus.
    """

    label: str
    recall: dict[str, float]
    chance: float
    words: dict[str, tuple[str, ...]]

    @property
    def mean(self) -> float:
        """The mean recall: balanced accuracy."""
        return float(np.mean(list(self.recall.values())))


def probe(examples: Sequence[Example], most: int, seed: int) -> list[Told]:
    """Fit a probe per label, on at most `most` mails of each corpus.

    Ham and spam apart: a probe for both would be helped by the label itself.
    """
    found = []
    for label in ("ham", "spam"):
        mails: dict[str, list[str]] = {}
        for each in examples:
            texts = mails.setdefault(each.corpus, [])
            if each.labels.get(SPAM) == label and len(texts) < most:
                texts.append(each.texts[0])
        mails = {corpus: texts for corpus, texts in mails.items() if len(texts) >= FEWEST}
        if len(mails) > 1:
            found.append(_tell(label, mails, seed))
    return found


def _tell(label: str, mails: dict[str, list[str]], seed: int) -> Told:
    names = sorted(mails)
    texts = [text for name in names for text in mails[name]]
    wanted = np.array([name for name in names for _ in mails[name]])
    mixed = np.random.default_rng(seed).permutation(len(texts))
    texts, wanted = [texts[place] for place in mixed], wanted[mixed]
    vectorizer = TfidfVectorizer(token_pattern=TERM, sublinear_tf=True, min_df=3)
    features = vectorizer.fit_transform(texts)
    regression = LogisticRegression(C=4.0, class_weight="balanced", max_iter=300)
    guessed = cross_val_predict(regression, features, wanted, cv=FOLDS)
    recalls = recall_score(wanted, guessed, labels=names, average=None)
    terms = vectorizer.get_feature_names_out()
    weights = regression.fit(features, wanted).coef_
    rows = weights if len(names) > 2 else np.concatenate([-weights, weights])
    return Told(
        label,
        {name: round(float(recall), 4) for name, recall in zip(names, recalls, strict=True)},
        round(1 / len(names), 4),
        {
            name: tuple(terms[place] for place in np.argsort(-row)[:TELLING])
            for name, row in zip(names, rows, strict=True)
        },
    )


def probe_table(found: Sequence[Told]) -> Table:
    """A row per label and corpus: how many of its mails are told, and by which words."""
    table = Table(title="corpus told from the rendered text", box=box.SIMPLE_HEAD)
    for name in ("label", "corpus"):
        table.add_column(name)
    table.add_column("told", justify="right")
    table.add_column("telling words", overflow="fold")
    for each in found:
        for corpus, recall in each.recall.items():
            table.add_row(each.label, corpus, f"{recall:.1%}", " ".join(each.words[corpus]))
        table.add_row(each.label, "mean", f"{each.mean:.1%}", f"by chance {each.chance:.1%}")
        table.add_section()
    return table
