"""The suites: which part of whose tests is run, and how it is told where the server is.

Decides the selection, which is the same for every run, and the command lines. Knows nothing of what the results mean.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.compatibility.sources import build_tools, unpacked
from tests.compatibility.stage import Place

_INSIDE = Path(__file__).parent / "inside"
_PYTEST = ("-m", "pytest", "-p", "recording", "-q", "--maxfail=100000", "-p", "no:cacheprovider")
# Archives without settings for pytest would get dbmesh's own, found in a folder above.
_NO_SETTINGS = ("-c", str(_INSIDE / "pytest.ini"), "--rootdir=.")


@dataclass(frozen=True)
class Suite:
    """One selection of one project's tests."""

    name: str
    package: str | None
    """Whose source archive it comes from; None: it is a program of the system's packages."""
    databases: tuple[str, ...]
    """The databases that must exist before it starts."""
    run: Callable[[Path, Place, Path, dict[str, str], tuple[str, ...]], None]
    """Runs it: source folder, place, folder for files, environment, further arguments."""


def run(suite: Suite, place: Place, directory: Path, record: Path, arguments: tuple[str, ...]) -> None:
    """Runs a suite to its end; how its tests ended is in `record` then. What it printed is in suite.log."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(_INSIDE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COMPATIBILITY_RECORD": str(record),
        "COMPATIBILITY_PORT": str(place.port),
        "COMPATIBILITY_PASSWORD": place.password,
    }
    record.write_text("")
    source = directory if suite.package is None else unpacked(suite.package)
    suite.run(source, place, directory, environment, arguments)


def _call(command: list[str], source: Path, directory: Path, environment: dict[str, str]) -> None:
    """Runs a command until every test has ended: a process that dies in a test is followed by another one."""
    record = Path(environment["COMPATIBILITY_RECORD"])
    with (directory / "suite.log").open("ab") as log:
        while True:
            subprocess.run(
                command, cwd=source, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            lines = record.read_text().splitlines()
            if not lines or json.loads(lines[-1])["outcome"] != "begun":
                return


def _sqlalchemy(*files: str) -> Callable[[Path, Place, Path, dict[str, str], tuple[str, ...]], None]:
    def start(
        source: Path, place: Place, directory: Path, environment: dict[str, str], arguments: tuple[str, ...]
    ) -> None:
        url = f"mysql+pymysql://root:{place.password}@127.0.0.1:{place.port}/test?charset=utf8mb4"
        _call(
            [sys.executable, *_PYTEST, *files, "--dburi", url, "--backend-only", *arguments],
            source,
            directory,
            environment,
        )

    return start


def _aiomysql(
    source: Path, place: Place, directory: Path, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    _call(
        [
            sys.executable,
            *_PYTEST,
            *_NO_SETTINGS,
            "tests",
            # Its layer over SQLAlchemy needs SQLAlchemy 1.
            "--ignore=tests/sa",
            "-k",
            "not over_sa_result",
            f"--mysql-address=127.0.0.1:{place.port}",
            *arguments,
        ],
        source,
        directory,
        {**environment, "MYSQL_ROOT_PASSWORD": place.password},
    )


def _mysqlclient(
    source: Path, place: Place, directory: Path, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    options = directory / "client.cnf"
    options.write_text(
        f"[MySQLdb-tests]\nhost=127.0.0.1\nport={place.port}\nuser=root\npassword={place.password}\n"
        "database=test\ndefault-character-set=utf8mb4\n"
    )
    _call(
        [sys.executable, *_PYTEST, *_NO_SETTINGS, "tests", *arguments],
        source,
        directory,
        # Its tests share connections: one that fails would take the next ones with it.
        {**environment, "TESTDB": str(options), "COMPATIBILITY_ALONE": "1"},
    )


def _connector(
    source: Path, place: Place, directory: Path, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    # Its tests import what builds it.
    path = f"{environment['PYTHONPATH']}{os.pathsep}{build_tools()}"
    _call(
        [sys.executable, str(_INSIDE / "connector_tests.py"), *arguments],
        source,
        directory,
        # Its C extension needs the OpenSSL it comes with, which Python must not have loaded the system's before.
        {**environment, "PYTHONPATH": path, "LD_LIBRARY_PATH": str(_vendored())},
    )


def _vendored() -> Path:
    found = importlib.util.find_spec("mysql")
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(next(iter(found.submodule_search_locations))) / "vendor"


def _client_test(
    source: Path, place: Place, directory: Path, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    command = [sys.executable, str(_INSIDE / "client_tests.py"), str(directory), *arguments]
    _call(command, source, directory, environment)


_DJANGO_APPS = [
    *("basic", "lookup", "transactions", "aggregation", "introspection", "expressions", "get_or_create"),
    *(
        "select_for_update",
        "bulk_create",
        "many_to_many",
        "model_inheritance",
        "ordering",
        "update",
        "delete",
    ),
    *("dates", "datetimes", "raw_query", "inspectdb", "or_lookups", "indexes", "constraints"),
    *("expressions_window", "queries", "annotations", "schema"),
]


def _django(
    source: Path, place: Place, directory: Path, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    path = f"{environment['PYTHONPATH']}{os.pathsep}{source}"
    command = [sys.executable, "runtests.py", "--settings=django_settings", "--parallel=1", "--noinput"]
    _call(
        [*command, *(arguments or _DJANGO_APPS)],
        source / "tests",
        directory,
        {**environment, "PYTHONPATH": path},
    )


SUITES = (
    Suite(
        "sqlalchemy-dialect",
        "sqlalchemy",
        ("test", "test_schema", "test_schema_2"),
        _sqlalchemy("test/dialect/test_suite.py"),
    ),
    Suite(
        "sqlalchemy-mysql",
        "sqlalchemy",
        ("test", "test_schema", "test_schema_2"),
        _sqlalchemy("test/dialect/mysql"),
    ),
    Suite(
        "sqlalchemy-backend",
        "sqlalchemy",
        ("test", "test_schema", "test_schema_2"),
        _sqlalchemy("test/sql", "test/engine", "test/orm"),
    ),
    Suite("aiomysql", "aiomysql", ("test",), _aiomysql),
    Suite("mysqlclient", "mysqlclient", ("test",), _mysqlclient),
    Suite("mysql-connector", "mysql-connector-python", ("test",), _connector),
    Suite("mariadb-client-test", None, ("test",), _client_test),
    Suite("django", "django", ("django", "django_other"), _django),
)
