"""Databases for tests: a new SQLite file, or a new database on a private PostgreSQL server.

Use by `pytest_plugins = ("store_fixtures",)`. The server needs Debian's package `postgresql`.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import psycopg
import pytest

from filterd.store.database import open_database
from filterd.store.schema import upgrade

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="session")
def postgres_server():
    """Socket folder of a server that ends with the tests."""
    if not BINARIES:
        missing = "no PostgreSQL server here; install Debian's package `postgresql`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    # Not below pytest's folder: only its owner may enter that, and the server will not run as root.
    folder = Path(tempfile.mkdtemp(prefix="filterd-postgres-"))
    as_user = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def run(name, *arguments):
        command = [BINARIES[-1] / name, "-D", folder / "data", *arguments]
        log = (folder / "log").open("ab")
        subprocess.run(command, check=True, cwd=folder, stdout=log, stderr=log, **as_user)

    try:
        run("initdb", "-U", "filterd", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "start", "-w", "-o", options)
        yield folder
        run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_names():
    return (f"site{number}" for number in count())


@pytest.fixture
def postgres_url(postgres_server, postgres_names):
    """A schema of its own: as empty as a new database, and quicker made."""
    name = next(postgres_names)
    with psycopg.connect(
        f"host={postgres_server} user=filterd dbname=postgres", autocommit=True
    ) as server:
        server.execute(f"CREATE SCHEMA {name}")
    search_path = f"options=-csearch_path%3D{name}"
    return f"postgresql://filterd@/postgres?host={postgres_server}&{search_path}"


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'filterd.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def database(url):
    """An upgraded database; each test runs on SQLite and on PostgreSQL."""
    database = open_database(url)
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def sqlite_database(sqlite_url):
    database = open_database(sqlite_url)
    upgrade(database)
    yield database
    database.close()
