"""Scores to verdict and action, by thresholds. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Mode = Literal["tag", "shadow", "reject", "quarantine"]

# Sieve and Outlook rules written for SpamAssassin compare X-Spam-Score with 5.0.
SPAMASSASSIN_REQUIRED = 5.0
SPAMASSASSIN_SPAN = 10.0


class Verdict(StrEnum):
    """What a message is held to be."""

    SPAM = "spam"
    HAM = "ham"


class Action(StrEnum):
    """What is done with a judged message."""

    DELIVER = "deliver"
    REJECT = "reject"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Policy:
    """The site's thresholds (probabilities 0..1) and mode."""

    mode: Mode = "tag"
    spam_threshold: float | None = None
    reject_threshold: float = 0.999

    def threshold(self, bundle_threshold: float) -> float:
        """The spam threshold in force: the site's own, else the bundle's."""
        return bundle_threshold if self.spam_threshold is None else self.spam_threshold

    def verdict(self, spam: float, bundle_threshold: float) -> Verdict:
        """Spam from the threshold on."""
        return Verdict.SPAM if spam >= self.threshold(bundle_threshold) else Verdict.HAM

    def action(self, verdict: Verdict, spam: float) -> Action:
        """What the mode does with this verdict."""
        if verdict is Verdict.SPAM and self.mode == "quarantine":
            return Action.QUARANTINE
        if verdict is Verdict.SPAM and self.mode == "reject" and spam >= self.reject_threshold:
            return Action.REJECT
        return Action.DELIVER


def spamassassin_score(spam: float, threshold: float) -> float:
    """The probability on SpamAssassin's scale: 0 at 0, 5.0 at our threshold, 10 at 1."""
    if spam < threshold:
        return SPAMASSASSIN_REQUIRED * spam / threshold
    if threshold >= 1.0:
        return SPAMASSASSIN_REQUIRED
    above = (spam - threshold) / (1.0 - threshold)
    return SPAMASSASSIN_REQUIRED + (SPAMASSASSIN_SPAN - SPAMASSASSIN_REQUIRED) * above
