"""The linear model that stands beside the BERT: fitted on the same mail, in seconds.

It is also the baseline that the BERT has to beat: TF-IDF and logistic regression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from filterd.model.linear import BUCKETS, LinearModel, features
from trainer.corpora import SPAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.dataset import Example

STRENGTH = 4.0  # C of the regression: 1 and 16 were worse on corpora left out


def fit_linear(examples: Sequence[Example], share: float) -> LinearModel:
    """Fit on mails with a spam label, each in as many readings as the BERT gets of it in an epoch.

    Both classes count alike, however many there are.
    """
    texts = [text for each in examples for text in each.texts[: each.repeat]]
    wanted = np.array(
        [each.labels[SPAM] == "spam" for each in examples for _ in each.texts[: each.repeat]]
    )
    counts = _count(texts)
    seen = np.bincount(counts.indices, minlength=BUCKETS)
    idf = (np.log((1 + len(texts)) / (1 + seen)) + 1).astype(np.float32)
    regression = LogisticRegression(
        C=STRENGTH, class_weight="balanced", solver="liblinear", max_iter=200
    )
    regression.fit(_unit_length(counts, idf), wanted)
    return LinearModel(
        idf, regression.coef_[0].astype(np.float32), float(regression.intercept_[0]), share
    )


def margins(model: LinearModel, texts: Sequence[str]) -> NDArray[np.float64]:
    """Log odds of spam [texts]."""
    return np.array([model.margin(text) for text in texts])


def _count(texts: Sequence[str]) -> csr_matrix:
    found = [features(text) for text in texts]
    ends = np.cumsum([0, *(len(buckets) for buckets, _ in found)])
    return csr_matrix(
        (
            np.concatenate([values for _, values in found]),
            np.concatenate([buckets for buckets, _ in found]),
            ends,
        ),
        shape=(len(texts), BUCKETS),
    )


def _unit_length(counts: csr_matrix, idf: NDArray[np.float32]) -> csr_matrix:
    weighed = counts.multiply(idf[None, :]).tocsr()
    lengths = np.sqrt(weighed.multiply(weighed).sum(axis=1)).A1
    return weighed.multiply(1 / np.maximum(lengths, 1e-9)[:, None]).tocsr()
