"""bundle.json: every wrong shape or absurd value is a sentence, never a crash."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.model.bundle import GoldenMessage, Task
from filterd.model.manifest import FORMAT_VERSION, NewerFormatError, dump_manifest, parse_manifest

FIELDS = {
    "version": "2026-11-23.1",
    "created": "2026-11-23T02:30:00+00:00",
    "tasks": (
        Task("spam", ("ham", "spam"), 1.3, 0.9),
        Task("sentiment", ("negative", "neutral", "positive"), 0.8),
    ),
    "renderer_version": 1,
    "max_tokens": 128,
    "base_model": "all-MiniLM-L6-v2",
    "base_licence": "Apache-2.0",
    "data_digest": "sha256:00",
    "metrics": {"auc": 0.99},
    "golden": (GoldenMessage("Grüße", {"spam": (0.9, 0.1), "sentiment": (0.2, 0.3, 0.5)}),),
    "files": {"model.onnx": "0" * 64},
}
SOUND = dump_manifest(FIELDS)


def altered(path: str, value: object) -> bytes:
    """The sound manifest with the value at a dotted path replaced, or removed if it is `...`."""
    document = json.loads(SOUND)
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place = document
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document).encode()


def test_it_is_sorted_indented_and_readable_by_people():
    text = SOUND.decode()
    document = json.loads(text)

    assert text == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert document["format_version"] == FORMAT_VERSION
    assert "Grüße" in text


def test_what_is_dumped_is_parsed_again():
    manifest = parse_manifest(SOUND)

    assert {name: getattr(manifest, name) for name in FIELDS} == FIELDS


def test_one_changed_byte_is_refused_wherever_it_is():
    for place in range(len(SOUND)):
        changed = bytearray(SOUND)
        changed[place] ^= 1
        with pytest.raises(ValueError, match="."):
            parse_manifest(bytes(changed))


def test_a_format_that_has_a_digest_is_none_without_it():
    with pytest.raises(ValueError, match="own_digest is missing"):
        parse_manifest(altered("own_digest", ...))


def test_a_newer_format_names_the_release_that_wrote_it():
    text = b'{"format_version": 4, "written_by": "0.9", "tasks": "of another shape"}'

    with pytest.raises(NewerFormatError, match="its format is 4") as caught:
        parse_manifest(text)
    assert caught.value.written_by == "0.9"


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("format_version", 0, "no bundle format 0"),
        ("format_version", "1", "format_version"),
        ("version", "a/b", "version"),
        ("version", ..., "version"),
        ("tasks", [], "tasks"),
        ("tasks", None, "tasks"),
        ("tasks.0", ..., "without the tasks 'spam' and 'sentiment'"),
        ("tasks.1", ..., "without the tasks 'spam' and 'sentiment'"),
        ("tasks.0.labels", ["spam", "ham"], "needs the labels ham, spam"),
        ("tasks.0.threshold", None, "a threshold"),
        ("tasks.0.threshold", 1.01, "threshold"),
        ("tasks.0.threshold", -0.01, "threshold"),
        ("tasks.0.temperature", 0, "temperature"),
        ("tasks.0.temperature", -1.0, "temperature"),
        ("tasks.0.temperature", "1", "temperature"),
        ("tasks.0.colour", "red", "colour"),
        ("tasks.1.labels", [], "labels"),
        ("tasks.1.labels", ["good", "bad", "good"], "names a label twice"),
        ("tasks.1.labels", ["a\r\nX-Injected: 1", "b", "c"], "labels"),
        ("tasks.1.name", "spam", "must differ"),
        ("tasks.1.name", "embedding", "must differ"),
        ("renderer_version", 0, "renderer_version"),
        ("max_tokens", 1_000_000, "max_tokens"),
        ("golden", [], "golden"),
        ("golden.0.text", "", "text"),
        ("golden.0.scores.spam", [0.5], "one score per label"),
        ("golden.0.scores.spam", [0.9, 0.9], "add up to 1"),
        ("golden.0.scores.spam", ..., "for each task"),
        ("files", ["model.onnx"], "files"),
        ("files", {"model.onnx": "abc"}, "files"),
        ("files", {"../model.onnx": "0" * 64}, "files"),
        ("metrics", [], "metrics"),
        ("surplus", 1, "surplus"),
    ],
)
def test_an_absurd_value_is_refused_and_named(path, value, reason):
    with pytest.raises(ValueError, match=reason):
        parse_manifest(altered(path, value))


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b"{}"])
def test_what_is_no_manifest_at_all_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        parse_manifest(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
PLACES = [*FIELDS, "format_version", "tasks.0", "tasks.0.labels", "tasks.1.name", "golden.0",
          "golden.0.scores", "golden.0.scores.spam", "tasks.0.temperature"]  # fmt: skip


@given(st.sampled_from(PLACES), JSON)
def test_any_value_anywhere_is_taken_or_refused_but_never_crashes(place, value):
    with contextlib.suppress(ValueError):
        parse_manifest(altered(place, value))


@given(st.binary(max_size=64))
def test_any_bytes_are_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011  # any of its sentences
        parse_manifest(text)
