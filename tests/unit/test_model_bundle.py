"""Bundles on disk: what is written can be verified, and anything else is refused by name."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from tiny_bundle import make_tiny_bundle, write_changed

from filterd.errors import BundleError
from filterd.model import bundle as bundles
from filterd.model.bundle import Bundle, load, verify


@pytest.fixture
def tiny(tmp_path) -> Bundle:
    return make_tiny_bundle(tmp_path / "models" / "tiny.1")


def names(folder) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_written_bundle_is_read_back_as_it_was_given(tiny, tmp_path):
    again = write_changed(tiny, tmp_path / "again", metrics={"auc": 0.99, "n": {"ham": 3}})

    assert (
        verify(again.path)
        == again
        == replace(tiny, path=again.path, metrics={"auc": 0.99, "n": {"ham": 3}})
    )


def test_the_same_input_gives_the_same_files(tiny, tmp_path):
    assert make_tiny_bundle(tmp_path / "twin").files == tiny.files


def test_nothing_but_the_bundle_is_left_beside_it(tiny):
    assert names(tiny.path.parent) == ["tiny.1"]
    assert names(tiny.path) == [
        "bundle.json", "model.onnx", "tokenizer.json", "weights.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "weights.safetensors"])
def test_one_changed_byte_in_a_file_is_refused(tiny, name):
    path = tiny.path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(BundleError, match=f"{tiny.path}: .*{name}.*copy the bundle again"):
        verify(tiny.path)


@pytest.mark.parametrize(
    "name", ["bundle.json", "model.onnx", "tokenizer.json", "weights.safetensors"]
)
def test_a_missing_file_is_named(tiny, name):
    (tiny.path / name).unlink()

    with pytest.raises(BundleError, match=f"{tiny.path}: .*{name}"):
        verify(tiny.path)


def test_an_unexpected_file_is_named(tiny):
    (tiny.path / "evil.py").write_text("")

    with pytest.raises(BundleError, match=r"unexpected file evil\.py"):
        verify(tiny.path)


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx"])
def test_a_symlink_is_refused_though_it_leads_to_the_right_bytes(tiny, tmp_path, name):
    (tiny.path / name).rename(tmp_path / name)
    (tiny.path / name).symlink_to(tmp_path / name)

    with pytest.raises(BundleError, match=f"{name} cannot be read"):
        verify(tiny.path)


def test_a_fifo_in_place_of_a_file_does_not_hang(tiny):
    (tiny.path / "model.onnx").unlink()
    os.mkfifo(tiny.path / "model.onnx")

    with pytest.raises(BundleError, match=r"model.onnx cannot be read: it is not a plain file"):
        verify(tiny.path)


def test_a_folder_that_is_not_there_is_named_with_what_to_do(tmp_path):
    with pytest.raises(BundleError, match=f"{tmp_path}/gone: .*filterd models rollback"):
        verify(tmp_path / "gone")


def test_a_broken_shipped_bundle_asks_for_a_new_installation():
    assert "reinstall filterd" in str(bundles.broken(bundles.SHIPPED, "model.onnx is missing"))


def test_text_made_by_a_renderer_we_do_not_have_is_refused(tiny):
    ours = tiny.renderer_version
    with pytest.raises(BundleError, match=f"renderer {ours} writes it, this filterd has 98, 99"):
        verify(tiny.path, renderer_versions={98, 99})


def test_a_huge_manifest_is_refused_before_it_is_parsed(tiny):
    with (tiny.path / "bundle.json").open("ab") as file:
        file.truncate(bundles.MANIFEST_BYTES + 1)

    with pytest.raises(BundleError, match="larger than"):
        load(tiny.path)


def test_a_bundle_is_never_overwritten(tiny):
    with pytest.raises(BundleError, match="already there"):
        write_changed(tiny, tiny.path)

    assert verify(tiny.path) == tiny


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "../../etc"}, "version"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"golden": ()}, "golden"),
        ({"metrics": {"auc": float("nan")}}, "nan"),
        ({"metrics": {"auc": object()}}, "object"),
        ({"created": "yesterday"}, "isoformat"),
        ({"base_model": "two\nlines"}, "base_model"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tiny, tmp_path, changes, reason):
    target = tmp_path / "elsewhere" / "new"

    with pytest.raises(BundleError, match=f"{target}: nothing was published: .*{reason}"):
        write_changed(tiny, target, **changes)
    assert names(target.parent) == []


def test_a_source_file_that_is_missing_is_named_and_nothing_is_left(tiny, tmp_path):
    with pytest.raises(BundleError, match=rf"No such file or directory \({tmp_path}/no\.onnx\)"):
        write_changed(tiny, tiny.path.parent / "new", model=tmp_path / "no.onnx")
    assert names(tiny.path.parent) == ["tiny.1"]


def test_a_full_disk_leaves_no_half_bundle(tiny, tmp_path):
    # The kernel refuses to let any file grow past 4 kB, as a full disk would, in a process apart.
    (tmp_path / "big").write_bytes(bytes(1_000_000))
    script = f"""
import resource, sys
from pathlib import Path
from filterd.errors import BundleError
from filterd.model import bundle
old = bundle.load(Path({str(tiny.path)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    bundle.write(old.path.parent / "new", model=Path({str(tmp_path / "big")!r}),
        tokenizer=old.path / "tokenizer.json", weights=old.path / "weights.safetensors",
        version="new", tasks=old.tasks, renderer_version=1, max_tokens=64, base_model="x",
        base_licence="x", data_digest="x", metrics={{}}, golden=old.golden, created=old.created)
except BundleError as error:
    sys.exit(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "nothing was published" in done.stderr
    assert names(tiny.path.parent) == ["tiny.1"]


def test_a_task_and_its_threshold_are_found_by_name(tiny):
    assert tiny.task("spam").labels == ("ham", "spam")
    assert tiny.threshold("spam") == 0.9
    with pytest.raises(BundleError, match="no task 'topic'"):
        tiny.task("topic")
    with pytest.raises(BundleError, match="'sentiment' has no threshold"):
        tiny.threshold("sentiment")
