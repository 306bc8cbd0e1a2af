"""When an unknown table is believed, looked for again, or not said to be missing."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.connection import Product
from dbmesh.errors import PARSE_ERROR, TABLES_UNREAD, UNKNOWN_DATABASE, UNKNOWN_TABLE, MeshError
from dbmesh.planner.elsewhere import InAnotherDatabase
from dbmesh.rules.privileges import OF_DATABASE, PERMITTED, Privileges, Target, grant
from dbmesh.session.planning import RELOAD_INTERVAL, count_parameters, look_up, stale
from dbmesh.sql.lexer import DEFAULT

UNKNOWN = MeshError(UNKNOWN_TABLE, database="shop", table="t")


def _privileges(databases: tuple[str, ...] | None) -> Privileges:
    """Everything in these databases, None for all."""
    if databases is None:
        return Privileges(PERMITTED)
    return Privileges(frozenset().union(*(grant(Target(name), OF_DATABASE) for name in databases)))


def _session(*databases: Any, now: float = 0.0, allowed: tuple[str, ...] | None = None) -> Any:
    """A session whose current database is the first."""
    by_name = {database.name: database for database in databases}
    return cast(
        "Any",
        SimpleNamespace(
            now=lambda: now,
            database="shop",
            lexer_flags=DEFAULT,
            current_database=lambda: databases[0],
            find_database=by_name.get,
            mesh=SimpleNamespace(),
            privileges=_privileges(allowed),
            checked=None,
            temporary=None,
        ),
    )


@dataclass(frozen=True, eq=False)
class _Database:
    name: str
    plans: Any
    unread: str
    loaded_at: float


def _database(
    error: MeshError | None = None, unread: str = "", loaded_at: float = 0.0, name: str = "shop"
) -> Any:
    def lookup(text: str, database: str, flags: object, privileges: object) -> tuple[str, list[str]]:
        if error is not None:
            raise error
        return text, []

    return _Database(name, SimpleNamespace(lookup=lookup, has_masks=False), unread, loaded_at)


def test_a_plan_is_handed_on() -> None:
    database = _database()
    assert look_up(_session(database), "SELECT 1") == (database, "SELECT 1", [])


def test_a_statement_about_another_database_is_planned_there() -> None:
    shop, archive = _database(InAnotherDatabase("Archive", "t", "shop")), _database(name="archive")
    assert look_up(_session(shop, archive), "SELECT * FROM Archive.t") == (
        archive,
        "SELECT * FROM Archive.t",
        [],
    )


def test_a_statement_about_two_databases_is_planned_in_both() -> None:
    shop = _database(InAnotherDatabase("archive", "t", "shop"))
    archive = _database(InAnotherDatabase("shop", "t", "archive"), name="archive")
    session, both = _session(shop, archive), _database(name="both")
    session.mesh.joint = {(archive, shop): both}.get
    assert look_up(session, "SELECT * FROM t JOIN archive.t AS a")[0] is both


def test_the_database_whose_table_is_written_comes_first() -> None:
    shop = _database(InAnotherDatabase("archive", "t", "shop"))
    archive = _database(InAnotherDatabase("shop", "t", "archive"), name="archive")
    session, both = _session(shop, archive), _database(name="both")
    refused = _database(InAnotherDatabase("shop", "t", "archive"), name="archive")
    session.mesh.joint = {(archive, shop): refused, (shop, archive): both}.get
    assert look_up(session, "INSERT INTO t SELECT * FROM archive.t")[0] is both


def test_a_statement_that_writes_two_databases_at_once_is_refused() -> None:
    shop = _database(InAnotherDatabase("archive", "t", "shop"))
    archive = _database(InAnotherDatabase("shop", "t", "archive"), name="archive")
    session = _session(shop, archive)
    session.mesh.joint = {(archive, shop): archive, (shop, archive): shop}.get
    with pytest.raises(InAnotherDatabase):
        look_up(session, "RENAME TABLE t TO archive.t")


@pytest.mark.parametrize(
    ("text", "product", "kind"),
    [
        ("SELECT * FROM archive.t", Product.MARIADB, UNKNOWN_TABLE),
        ("SELECT * FROM archive.t", Product.MYSQL, UNKNOWN_DATABASE),
        ("CREATE TABLE archive.t (a INT)", Product.MARIADB, UNKNOWN_DATABASE),
    ],
)
@pytest.mark.parametrize("exists", [False, True])
def test_a_database_one_may_not_use_is_as_good_as_none(
    text: str, product: Product, kind: object, exists: bool
) -> None:
    shop, archive = _database(InAnotherDatabase("archive", "t", "shop")), _database(name="archive")
    session = _session(shop, archive, allowed=("shop",)) if exists else _session(shop)
    session.mesh.product = product
    with pytest.raises(MeshError) as found:
        look_up(session, text)
    assert found.value.kind is kind


def test_the_servers_own_tables_are_refused() -> None:
    with pytest.raises(InAnotherDatabase):
        look_up(_session(_database(InAnotherDatabase("mysql", "user", "shop"))), "SELECT * FROM mysql.user")


def test_a_table_is_unknown_when_every_data_source_was_read() -> None:
    with pytest.raises(MeshError) as found:
        look_up(_session(_database(UNKNOWN)), "SELECT * FROM t")
    assert found.value.kind is UNKNOWN_TABLE


def test_a_table_may_be_where_nobody_could_look() -> None:
    with pytest.raises(MeshError) as found:
        look_up(_session(_database(UNKNOWN, unread="ds_1 is away")), "SELECT * FROM t")
    assert found.value.kind is TABLES_UNREAD
    assert "'shop.t'" in str(found.value)
    assert "ds_1 is away" in str(found.value)


def test_other_errors_stay_what_they_are() -> None:
    error = MeshError(PARSE_ERROR, near="x", line=1)
    with pytest.raises(MeshError) as found:
        look_up(_session(_database(error, unread="ds_1 is away")), "x")
    assert found.value is error


@pytest.mark.parametrize("kind", [UNKNOWN_TABLE, TABLES_UNREAD])
def test_the_catalog_is_read_again_now_and_then(kind: Any) -> None:
    error = MeshError(kind, database="shop", table="t", unknown="", reason="")
    database = _database(loaded_at=10.0)
    assert stale(_session(database, now=10.0 + RELOAD_INTERVAL * 1.1), error) is database
    assert stale(_session(database, now=10.0 + RELOAD_INTERVAL * 0.9), error) is None
    assert stale(_session(database, now=99.0), MeshError(PARSE_ERROR, near="x", line=1)) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [("SELECT 1", 0), ("SELECT ?, '?', `?` -- ?\n", 1), ("INSERT INTO t VALUES (?, ?), (?, ?)", 4)],
)
def test_parameters_are_counted(text: str, count: int) -> None:
    assert count_parameters(_session(), text) == count
