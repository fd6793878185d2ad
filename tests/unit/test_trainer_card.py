from pathlib import Path

from filterd.model.bundle import SHIPPED, load
from trainer.card import model_card, shipped_card

PAGE = Path(__file__).resolve().parents[2] / "docs" / "model-card.md"


def test_the_page_in_docs_is_that_of_the_shipped_bundle():
    assert PAGE.read_text(encoding="utf-8") == shipped_card(), "run `make docs`"


def test_the_page_gives_every_corpus_of_the_bundle_and_its_threshold():
    bundle = load(SHIPPED)
    page = model_card(bundle)
    for corpus in bundle.metrics["validation"]["spam"]["corpora"]:
        assert f"| {corpus} |" in page
    assert f"threshold {bundle.threshold('spam')}" in page
    assert bundle.version in page.splitlines()[0]
