"""When an unknown table is believed, looked for again, or not said to be missing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.errors import PARSE_ERROR, TABLES_UNREAD, UNKNOWN_TABLE, MeshError
from dbmesh.session.planning import RELOAD_INTERVAL, count_parameters, look_up, must_reload
from dbmesh.sql.lexer import DEFAULT

UNKNOWN = MeshError(UNKNOWN_TABLE, database="shop", table="t")


def _session(now: float = 0.0) -> Any:
    return cast("Any", SimpleNamespace(now=lambda: now, database="shop", lexer_flags=DEFAULT))


def _database(error: MeshError | None = None, unread: str = "", loaded_at: float = 0.0) -> Any:
    def lookup(text: str, database: str, flags: object) -> tuple[str, list[str]]:
        if error is not None:
            raise error
        return text, []

    return SimpleNamespace(plans=SimpleNamespace(lookup=lookup), unread=unread, loaded_at=loaded_at)


def test_a_plan_is_handed_on() -> None:
    assert look_up(_session(), _database(), "SELECT 1") == ("SELECT 1", [])


def test_a_table_is_unknown_when_every_data_source_was_read() -> None:
    with pytest.raises(MeshError) as found:
        look_up(_session(), _database(UNKNOWN), "SELECT * FROM t")
    assert found.value.kind is UNKNOWN_TABLE


def test_a_table_may_be_where_nobody_could_look() -> None:
    with pytest.raises(MeshError) as found:
        look_up(_session(), _database(UNKNOWN, unread="ds_1 is away"), "SELECT * FROM t")
    assert found.value.kind is TABLES_UNREAD
    assert "'shop.t'" in str(found.value)
    assert "ds_1 is away" in str(found.value)


def test_other_errors_stay_what_they_are() -> None:
    error = MeshError(PARSE_ERROR, near="x", line=1)
    with pytest.raises(MeshError) as found:
        look_up(_session(), _database(error, unread="ds_1 is away"), "x")
    assert found.value is error


@pytest.mark.parametrize("kind", [UNKNOWN_TABLE, TABLES_UNREAD])
def test_the_catalog_is_read_again_now_and_then(kind: Any) -> None:
    error = MeshError(kind, database="shop", table="t", unknown="", reason="")
    database = _database(loaded_at=10.0)
    assert must_reload(_session(10.0 + RELOAD_INTERVAL * 1.1), database, error)
    assert not must_reload(_session(10.0 + RELOAD_INTERVAL * 0.9), database, error)
    assert not must_reload(_session(99.0), database, MeshError(PARSE_ERROR, near="x", line=1))


@pytest.mark.parametrize(
    ("text", "count"),
    [("SELECT 1", 0), ("SELECT ?, '?', `?` -- ?\n", 1), ("INSERT INTO t VALUES (?, ?), (?, ?)", 4)],
)
def test_parameters_are_counted(text: str, count: int) -> None:
    assert count_parameters(_session(), text) == count
