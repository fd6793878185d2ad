"""Champion and candidate over the same texts, by the encoder that serves: what the gate goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filterd.errors import BundleError
from filterd.model.bundle import MODEL
from filterd.model.encoder import Encoder, open_encoder
from trainer.corpora import SPAM
from trainer.golden_set import load_golden
from trainer.night_gate import judge
from trainer.scored import Scored, ScoredSets, joined
from trainer.scoring import measure_latency, score_with
from trainer.site_data import held_recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filterd.model.bundle import Bundle
    from trainer.dataset import Example
    from trainer.night_rules import Rule
    from trainer.observer import Observer
    from trainer.site_data import SiteData


@dataclass(frozen=True, slots=True, eq=False)
class NightVerdict:
    """What the gate says of a candidate, and the scores and thresholds that it went by."""

    rules: list[Rule]
    sets: ScoredSets
    thresholds: tuple[float, float]


def judge_candidate(
    champion: Bundle,
    candidate: Bundle,
    data: SiteData,
    observer: Observer,
    *,
    site_threshold: float | None,
) -> NightVerdict:
    """Every rule of the gate. `site_threshold` is the setting, if the site has one. BundleError."""
    before = open_encoder(champion.path, threads=1)
    try:
        after, reproduced = open_encoder(candidate.path, threads=1), True
    except BundleError:
        # It does not give its own golden scores here; the rules say so in their way.
        after, reproduced = Encoder(candidate), False

    def scored(examples: Sequence[Example], what: str) -> Scored:
        return Scored(
            examples,
            score_with(before, examples, observer, f"{what}, champion"),
            score_with(after, examples, observer, f"{what}, candidate"),
        )

    golden = load_golden()
    sets = ScoredSets(
        golden=scored(golden, "golden set"),
        corrected=scored([mail.example for mail in data.corrected], "corrected mail"),
        newest=joined(
            scored([mail.example for mail in data.newest], "newest mail"),
            # What nobody labelled counts as ham where the champion has no doubt of it. Near
            # anything that staff labelled there is none: see trainer.site_data.
            scored(held_recent(data), "recent mail"),
        ),
        validation=scored(_validation(data), "held-out mail"),
    )
    thresholds = (
        site_threshold or champion.threshold(SPAM),
        site_threshold or candidate.threshold(SPAM),
    )
    milliseconds = measure_latency(before, after, [each.texts[0] for each in golden])
    sizes = [float((bundle.path / MODEL).stat().st_size) for bundle in (champion, candidate)]
    rules = judge(
        sets,
        thresholds=thresholds,
        comparison=candidate.metrics["quantization"],
        golden=candidate.metrics["provenance"].get("golden", {}),
        milliseconds=milliseconds,
        bytes=(sizes[0], sizes[1]),
        golden_reproduced=reproduced,
        tasks={task.name: task.labels for task in candidate.tasks},
    )
    return NightVerdict(rules, sets, thresholds)


def _validation(data: SiteData) -> list[Example]:
    return [each for each in data.examples if each.labels and each.split == "validation"]
