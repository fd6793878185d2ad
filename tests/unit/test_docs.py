"""What the code can do stands in the docs, and what the docs point to is there."""

import importlib
import pkgutil
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
from prometheus_client.metrics import MetricWrapperBase

import filterd
from bot.settings import BotSettings
from filterd import cli, metrics
from filterd.documentation import settings_page
from filterd.errors import FilterdError
from filterd.settings import Settings
from trainer.settings import TrainerSettings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])
SOURCES = sorted((ROOT / "filterd").rglob("*.py"))
TEXT = "\n".join(path.read_text() for path in PAGES)
OPERATIONS = (ROOT / "docs/operations.md").read_text()
# Nobody can handle it, so there is nothing to say of it.
KILL = "SIGKILL"
# Always caught: what it means for a message is said by `on_failure`.
NEVER_ENDS_A_PROCESS = {"Overloaded"}
LINK = re.compile(r"\]\(([^()\s]+)\)")
ANY_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
# `make x` in code spans and blocks: at the start of a line or span, or after `&&`.
MAKE = re.compile(r"(?:^ *\$? *|`|&& )make ([a-z][a-z-]*)", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def commands(command, name):
    """Every command below a click group, as it is typed."""
    below = getattr(command, "commands", None)
    if below is None:
        return [name]
    return [found for sub in below.values() for found in commands(sub, f"{name} {sub.name}")]


def typed():
    from bot.cli import app as bot_app
    from trainer.cli import app as trainer_app

    return [
        *commands(typer.main.get_command(bot_app), "filterd-bot"),
        *commands(typer.main.get_command(cli.app), "filterd"),
        *commands(typer.main.get_command(trainer_app), "filterd-trainer"),
    ]


def exit_codes():
    """Of every error of ours, and those that the code names itself."""
    for module in pkgutil.walk_packages(filterd.__path__, "filterd."):
        if ".versions." not in module.name and not module.name.endswith((".env", "__main__")):
            importlib.import_module(module.name)
    kinds = [FilterdError]
    for kind in kinds:
        kinds += [sub for sub in kind.__subclasses__() if sub.__name__ not in NEVER_ENDS_A_PROCESS]
    code = "\n".join(path.read_text() for path in SOURCES)
    named = re.findall(r"(?:sys\.exit\(|typer\.Exit\(|exit_code: int = )(\d+)", code)
    usage = 2  # click's own
    of_errors = {kind.exit_code for kind in kinds if hasattr(kind, "exit_code")}
    return {usage, *map(int, named), *of_errors}


def signals():
    code = "\n".join((ROOT / f"filterd/{name}.py").read_text() for name in ("daemon", "worker"))
    return set(re.findall(r"signal\.(SIG(?!_)[A-Z0-9]+)", code)) - {KILL}


def headers():
    code = "\n".join(path.read_text() for path in SOURCES)
    return set(re.findall(r'"(X-[A-Z][A-Za-z]+-[A-Z][A-Za-z]+)"', code))


def metric_names():
    """As the docs write them: with `_total` for counters, and their labels in braces."""
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ",".join(metric._labelnames)
            yield f"{name}{{{labels}}}" if labels else name


@pytest.mark.parametrize(
    "name", [*Settings.model_fields, *BotSettings.model_fields, *TrainerSettings.model_fields]
)
def test_every_setting_is_documented(name):
    assert f"| `{name}` |" in (ROOT / "docs/settings.md").read_text()


def test_the_page_of_settings_is_what_the_code_says():
    page = settings_page({"bot": BotSettings, "trainer": TrainerSettings})
    assert (ROOT / "docs/settings.md").read_text() == page, "run `make docs`"


def test_the_code_still_has_what_is_looked_for_here():
    assert len(typed()) >= 15
    assert exit_codes() >= {1, 2, 66, 69, 70, 74, 78, 130}
    assert signals() >= {"SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"}
    assert headers() >= {"X-Filterd-Verdict", "X-Filterd-Id", "X-Spam-Flag"}
    assert len(list(metric_names())) >= 9
    assert len(PAGES) >= 8


def test_every_command_is_documented():
    missing = [command for command in typed() if not re.search(rf"{command}\b", TEXT)]
    assert missing == []


def test_every_metric_is_documented_with_its_labels():
    assert [name for name in metric_names() if f"| `{name}` |" not in OPERATIONS] == []


def test_every_header_we_write_is_documented():
    assert [name for name in sorted(headers()) if f"| `{name}` |" not in OPERATIONS] == []


def test_every_exit_code_is_documented():
    assert [code for code in sorted(exit_codes()) if f"| {code} |" not in OPERATIONS] == []


def test_every_signal_is_documented():
    assert [name for name in sorted(signals()) if name not in OPERATIONS] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_point_to_what_is_there(page):
    for link in LINK.findall(page.read_text()):
        if ANY_SCHEME.match(link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in {as_anchor(title) for title in HEADING.findall(target.read_text())}, (
                link
            )


def as_anchor(title):
    """As code hosts make them: lower case, no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_that_are_named_exist(page):
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))
    assert set(MAKE.findall(page.read_text())) <= targets
