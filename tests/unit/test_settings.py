import re
from pathlib import Path

import pytest

from filterd.documentation import setting_rows
from filterd.errors import SettingsError
from filterd.settings import Settings, load_settings, split_address

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def no_settings_around(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(tmp_path, text):
    path = tmp_path / "filterd.toml"
    path.write_text(text)
    return path


def test_defaults_need_no_file():
    settings = load_settings()
    assert settings.listen == "127.0.0.1:10025"
    assert settings.next_hop == "maildir:var/mail"
    assert [str(network) for network in settings.allowed_clients] == ["127.0.0.0/8", "::1/128"]


def test_the_file_in_the_working_folder_is_found(tmp_path):
    write(tmp_path, 'workers = 3\nallowed_clients = ["10.0.0.0/8"]\n')
    settings = load_settings()
    assert settings.workers == 3
    assert [str(network) for network in settings.allowed_clients] == ["10.0.0.0/8"]


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    path = write(tmp_path, "workers = 3\n")
    monkeypatch.setenv("FILTERD_WORKERS", "5")
    monkeypatch.setenv("FILTERD_TRUSTED_PEERS", "10.1.0.0/16, ::1/128")
    settings = load_settings(path)
    assert settings.workers == 5
    assert [str(network) for network in settings.trusted_peers] == ["10.1.0.0/16", "::1/128"]


def test_tables_of_bot_and_trainer_are_none_of_our_business(tmp_path):
    load_settings(write(tmp_path, '[bot]\nchannel = "#mail"\n[trainer]\nat = "02:30"\n'))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lisen = 'x'", "filterd.toml: unknown setting 'lisen' (did you mean 'listen'?)"),
        ("workers = 'many'", "filterd.toml: 'workers': Input should be a valid integer"),
        ("workers = 0", "filterd.toml: 'workers': Input should be greater than or equal to 1"),
        ("listen = 'here'", "filterd.toml: 'listen': 'here' is not HOST:PORT"),
        ("listen = '[::1]:70000'", "is not HOST:PORT"),
        ("mode = 'delete'", "'mode': Input should be 'tag', 'shadow', 'reject' or 'quarantine'"),
        ("mode = 'quarantine'", "mode quarantine needs `quarantine`"),
        ("tls_certificate = 'x.pem'", "tls_certificate and tls_key must be set together"),
        ("allowed_clients = ['10.0.0.1/8']", "'allowed_clients'"),
        ("workers = ", "filterd.toml: not valid TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_a_line_that_names_it(tmp_path, text, said):
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 78


def test_what_is_wrong_in_the_environment_names_the_variable(monkeypatch):
    monkeypatch.setenv("FILTERD_DEADLINE", "soon")
    with pytest.raises(SettingsError, match="FILTERD_DEADLINE: Input should be a valid number"):
        load_settings()


def test_an_unknown_variable_is_refused(monkeypatch):
    monkeypatch.setenv("FILTERD_LISTEM", "x")
    with pytest.raises(SettingsError, match=r"FILTERD_LISTEM \(did you mean FILTERD_LISTEN\?\)"):
        load_settings()


def test_a_file_that_is_named_must_be_there(tmp_path):
    with pytest.raises(SettingsError, match=r"absent\.toml: cannot read the settings file"):
        load_settings(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:25", ("127.0.0.1", 25)),
        ("[::1]:2525", ("::1", 2525)),
        (":25", ("0.0.0.0", 25)),
    ],
)
def test_addresses_are_host_and_port(text, parts):
    assert split_address(text) == parts


def test_every_setting_says_what_it_does():
    for row in setting_rows():
        assert re.search(r"\w{3}", row.description), row.name
        assert row.description.endswith("."), row.name


def test_a_database_password_is_not_shown():
    settings = Settings(database="postgresql://filterd:secret@db/filterd")
    shown = next(row.value for row in setting_rows(settings) if row.name == "database")
    assert "secret" not in shown
    assert "filterd:…@db" in shown
