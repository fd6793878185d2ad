"""A scenario's row says what became of all its tests, and none can hide by not running."""

import json

import pytest
from scenario_table import page, read_run

pytest_plugins = ("pytester",)

TESTS = """
import pytest

@pytest.mark.scenario("F01", "a | b < c", "it holds")
@pytest.mark.parametrize("number", range(3))
def test_it_holds(number, record_property):
    record_property("figure", f"{number // 2} s")

@pytest.mark.scenario("F02", "two cases", "one does not hold")
@pytest.mark.parametrize("number", range(2))
def test_it_fails(number):
    assert number

@pytest.mark.scenario("A01", "no server here", "nobody knows")
def test_it_is_skipped():
    pytest.skip("nothing to run it on")

@pytest.fixture
def broken():
    raise ValueError

@pytest.mark.scenario("S01", "its fixture breaks", "nobody knows")
def test_it_never_starts(broken):
    pass

def test_it_is_no_scenario():
    pass
"""
INI = """
[pytest]
markers =
    scenario: as in pyproject.toml
asyncio_default_fixture_loop_scope = function
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Run tests of that text; the run, and what pytest counted."""
    monkeypatch.delenv("CI", raising=False)
    pytester.makeini(INI)
    pytester.makeconftest('pytest_plugins = ("scenario_table",)')

    def run(text, **variables):
        pytester.makepyfile(text)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        done = pytester.runpytest_inprocess("--scenarios", "out/gale.json")
        return pytester.path / "out/gale.json", done

    return run


def rows(text):
    return [line for line in text.splitlines() if line.startswith("| ") and "What" not in line]


def test_the_table_says_what_became_of_each_scenario(run):
    path, _ = run(TESTS)
    text = page([read_run(path)])
    assert rows(text) == [
        "| A01 | no server here | nobody knows | not run |  |",
        "| F01 | a \\| b &lt; c | it holds | holds, 3 cases | 0 s; 1 s |",
        "| F02 | two cases | one does not hold | **fails**, 2 cases |  |",
        "| S01 | its fixture breaks | nobody knows | **fails** |  |",
    ]
    assert "4 scenarios of 7 cases: 1 hold, 2 fail, 1 not run." in text
    assert text.index("Attack on SMTP") < text.index("Faults") < text.index("## S: Store")


def test_the_page_names_the_make_target_and_the_kind_of_machine_but_no_path(run):
    path, _ = run(TESTS)
    text = page([read_run(path)])
    assert "Made by `make gale` on 20" in text
    assert " core" in text
    assert str(path.parent) not in text


def test_a_longer_run_takes_the_place_of_the_short_one(run, tmp_path):
    path, _ = run(TESTS)
    values = json.loads(path.read_text())
    kept = [one | {"figures": ["20,000 mails"], "seconds": 600} for one in values["scenarios"][1:2]]
    longer = tmp_path / "storm.json"
    longer.write_text(json.dumps(values | {"target": "storm", "scenarios": kept}))
    text = page([read_run(path), read_run(longer)])
    assert "Made by `make storm` on 20" in text
    assert ", for F01: " in text
    assert "| holds, 3 cases | 20,000 mails; (`make storm`, 10 min) |" in text
    assert len(rows(text)) == 4


def test_the_run_itself_says_what_the_page_will(run):
    _, done = run(TESTS)
    done.stdout.fnmatch_lines(["F02  fails    two cases*", "4 scenarios of 7 cases: 1 hold*"])


def test_without_ci_a_skipped_scenario_is_skipped(run):
    _, done = run(TESTS)
    done.assert_outcomes(passed=5, failed=1, skipped=1, errors=1)


def test_in_ci_a_skipped_scenario_fails(run):
    _, done = run(TESTS, CI="true")
    done.assert_outcomes(passed=5, failed=2, errors=1)
    done.stdout.fnmatch_lines(["*a scenario must not be skipped in CI:*"])


MODULE = 'import pytest\npytest.importorskip("no_such_module")\n'
MARKED = MODULE + '@pytest.mark.scenario("F01", "a", "b")\ndef test_one():\n    pass\n'


def test_in_ci_a_module_with_scenarios_must_not_skip_itself(run):
    _, done = run(MARKED, CI="true")
    done.assert_outcomes(errors=1)


def test_other_modules_may(run):
    _, done = run(MODULE, CI="true")
    done.assert_outcomes(skipped=1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('"F1", "a", "b"', '"F02", "a", "b"'),
        ('"X01", "a", "b"', '"F02", "a", "b"'),
        ('"F01", "a", "b"', '"F01", "another", "b"'),
    ],
    ids=["no number", "no letter of ours", "one number for two"],
)
def test_a_number_that_is_none_or_means_two_things_ends_the_run(run, one, other):
    mark = "@pytest.mark.scenario({})\ndef test_{}():\n    pass\n"
    text = "import pytest\n" + mark.format(one, "one") + mark.format(other, "other")
    _, done = run(text)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
