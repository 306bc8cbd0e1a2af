"""The rows a write changes are told from its own text: the query of its images, or the reason why there is none."""

from __future__ import annotations

import pytest

from dbmesh.errors import NOT_SUPPORTED, MeshError
from dbmesh.model import ColumnFamily, ColumnSchema, TableSchema
from dbmesh.planner.capture import MOVING, Capture, Found, capture
from dbmesh.sql.lexer import DEFAULT, LexerFlags
from dbmesh.wire.packets import OkPacket

T = TableSchema(
    "t",
    (
        ColumnSchema("id", "bigint(20)", ColumnFamily.INTEGER, auto_increment=True),
        ColumnSchema("word", "varchar(20)", ColumnFamily.TEXT, collation="utf8mb4_general_ci"),
        ColumnSchema("twice", "int", ColumnFamily.INTEGER, generated=True),
    ),
    ("id",),
    (("word",),),
)
PAIR = TableSchema(
    "pair",
    (
        ColumnSchema("a", "int", ColumnFamily.INTEGER),
        ColumnSchema("b", "varchar(9)", ColumnFamily.TEXT, collation="latin1_bin", has_default=True),
        ColumnSchema("at", "timestamp", ColumnFamily.TEMPORAL, renewed=True),
    ),
    ("a", "b"),
)
SCHEMAS = {
    "t_1": T,
    "pair": PAIR,
    "bits": TableSchema("bits", (ColumnSchema("id", "bit(8)", ColumnFamily.BIT),), ("id",)),
    "keyless": TableSchema("keyless", T.columns),
    "guarded": TableSchema("guarded", T.columns, ("id",), guarded=True),
}
ITEMS = "`id`,CAST(`word` AS BINARY)"


def _capture(sql: str, flags: LexerFlags = DEFAULT) -> Capture:
    return capture(sql, SCHEMAS.get, flags)


@pytest.mark.parametrize(
    ("sql", "before"),
    [
        ("UPDATE t_1 AS t SET word = 'a' WHERE t.id = 5", "FROM t_1 AS t WHERE t.id = 5"),
        (
            "UPDATE LOW_PRIORITY IGNORE `t_1` SET word = (SELECT 'where') WHERE id IN (1, 2) ORDER BY id;",
            "FROM `t_1` WHERE id IN (1, 2)",
        ),
        ("update t_1 set word = 'x'", "FROM t_1"),
        (
            "DELETE FROM t_1 PARTITION (p0) WHERE word = 'a limit 1'",
            "FROM t_1 PARTITION (p0) WHERE word = 'a limit 1'",
        ),
        ("DELETE FROM t_1 WHERE id = 1 /* c */", "FROM t_1 WHERE id = 1"),
        ("REPLACE INTO t_1 VALUES (1, 'a', DEFAULT)", "FROM `t_1` WHERE (`id`=1) OR (`word`='a')"),
        ("INSERT IGNORE t_1 (word) VALUES ('a'), (NULL)", "FROM `t_1` WHERE (`word`='a')"),
        (
            "INSERT INTO t_1 SET id = -3, word = 'b' ON DUPLICATE KEY UPDATE word = 'c'",
            "FROM `t_1` WHERE (`id`=-3) OR (`word`='b')",
        ),
    ],
)
def test_the_query_of_images_has_the_writes_own_conditions(sql: str, before: str) -> None:
    assert _capture(sql).before == f"SELECT {ITEMS} {before} FOR UPDATE"


def test_an_insert_finds_its_rows_by_the_keys_it_names() -> None:
    taken = _capture("INSERT INTO t_1 VALUES (1, 'a', DEFAULT), (2, 'b', DEFAULT)")
    assert (taken.before, taken.named(0)) == (
        "",
        f"SELECT {ITEMS} FROM `t_1` WHERE (`id`=1) OR (`id`=2) FOR UPDATE",
    )
    numbered = _capture("INSERT INTO t_1 (word) VALUES ('a'), ('b')")
    assert numbered.named(0) == ""
    assert "`id` IN (7+0*@@auto_increment_increment,7+1*@@auto_increment_increment)" in numbered.named(7)
    for zero in ("0", "'0'", "00", "-0", "0.0", "FALSE"):
        assert _capture(f"INSERT INTO t_1 (id) VALUES ({zero})").generated == 1, (
            "another row may have that key"
        )
    pair = _capture("INSERT INTO pair (a) VALUES (1)")
    assert "WHERE (`a`=1 AND `b`=DEFAULT(`b`)) FOR UPDATE" in pair.named(0)


def test_rows_are_named_and_put_back_by_literals_of_no_session() -> None:
    table = _capture("DELETE FROM pair WHERE a = 1").table
    old, new = (b"1", b"it's \xe9", b"86400.5"), (b"1", b"it's \xe9", b"0")
    assert table.condition([table.key_of(old)]) == "(`a`=1 AND `b`=_latin1 x'6974277320e9')"
    assert table.put_back(old, None) == (
        "INSERT INTO `pair` (`a`,`b`,`at`) VALUES (1,_latin1 x'6974277320e9',FROM_UNIXTIME(86400.5))"
    )
    assert table.put_back(old, new).startswith("UPDATE `pair` SET `at`=FROM_UNIXTIME(86400.5) WHERE")
    assert table.put_back(new, old).startswith("UPDATE `pair` SET `at`='0000-00-00 00:00:00' WHERE")
    assert table.put_back(None, new).startswith("DELETE FROM `pair` WHERE (`a`=1 AND")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE t_1 SET word = 'a' WHERE id = 1 LIMIT 1", "LIMIT"),
        ("UPDATE t_1 SET word = 'a' WHERE id > RAND()", "RAND"),
        ("UPDATE t_1 SET word = 'a' WHERE @a := id", ":="),
        ("UPDATE t_1 SET word = 'a' WHERE (id > ABS(own_function(3)))", "a stored function"),
        ("DELETE FROM t_1 WHERE word = f('it''s')", "a stored function"),
        ("UPDATE t_1 SET word = 'a', t_1.id = 7", "primary key"),
        ("UPDATE t_1, pair SET word = 'a'", "several tables"),
        ("UPDATE t_1 JOIN pair ON a = id SET word = 'a'", "several tables"),
        ("UPDATE other.t_1 SET word = 'a'", "another schema"),
        ("UPDATE unknown SET word = 'a'", "nothing is known"),
        ("UPDATE keyless SET word = 'a'", "no primary key"),
        ("DELETE FROM guarded", "triggers"),
        ("DELETE t_1 FROM t_1", "several tables"),
        ("DELETE FROM t_1 USING t_1 JOIN pair", "several tables"),
        ("DELETE FROM t_1 RETURNING id", "RETURNING"),
        ("INSERT INTO t_1 SELECT 1, 'a'", "query"),
        ("INSERT INTO t_1 VALUES (1, 'a', 1) RETURNING id", "RETURNING"),
        ("INSERT INTO t_1 (id) VALUES (ABS(1))", "expression"),
        ("INSERT INTO t_1 (id) VALUES (?)", "prepared"),
        ("UPDATE t_1 SET word = 'a' WHERE id IN (SELECT a FROM pair)", "SELECT"),
        ("INSERT INTO bits VALUES ('5')", "expression"),
        ("INSERT INTO t_1 (id) VALUES (1), (NULL)", "some of whose rows"),
        ("INSERT INTO pair (b) VALUES ('x')", "no primary key"),
        ("INSERT INTO t_1 (id) VALUES (1) ON DUPLICATE KEY UPDATE id = 5", "primary key"),
        ("WITH a AS (SELECT 1) DELETE FROM t_1", "begins with"),
    ],
)
def test_what_cannot_be_told_beforehand_is_refused(sql: str, reason: str) -> None:
    with pytest.raises(MeshError) as caught:
        _capture(sql)
    assert caught.value.kind is NOT_SUPPORTED
    assert reason in str(caught.value)


def test_quotes_that_mean_something_else_are_not_read() -> None:
    with pytest.raises(MeshError, match="ANSI_QUOTES"):
        _capture("DELETE FROM t_1", LexerFlags(ansi_quotes=True))


@pytest.mark.parametrize(
    ("sql", "affected", "found", "agrees"),
    [
        ("DELETE FROM t_1", 2, Found(2, 2, 0, 0), True),
        ("DELETE FROM t_1", 3, Found(2, 2, 0, 0), False),
        ("INSERT INTO t_1 (id) VALUES (1)", 1, Found(0, 0, 1, 1), True),
        ("INSERT INTO t_1 (id) VALUES (1.4)", 1, Found(0, 0, 0, 0), False),
        ("INSERT IGNORE INTO t_1 (id) VALUES (1), (2)", 1, Found(1, 0, 1, 2), True),
        ("REPLACE INTO t_1 (id) VALUES (1), (2)", 3, Found(1, 1, 1, 2), True),
        ("REPLACE INTO t_1 (id) VALUES (1), (2.4)", 3, Found(1, 0, 0, 1), False),
        (
            "INSERT INTO t_1 (id) VALUES (1), (2) ON DUPLICATE KEY UPDATE word = 'x'",
            3,
            Found(1, 1, 1, 2),
            True,
        ),
        (
            "INSERT INTO t_1 (id) VALUES (1), (2) ON DUPLICATE KEY UPDATE word = 'x'",
            2,
            Found(2, 0, 0, 1),
            False,
        ),
    ],
)
def test_what_the_server_counts_must_be_what_the_images_show(
    sql: str, affected: int, found: Found, agrees: bool
) -> None:
    ok = OkPacket(affected_rows=affected)
    assert _capture(sql).agrees(ok, found, counts_found=False) is agrees


def test_an_update_is_compared_by_the_rows_it_matched() -> None:
    ok = OkPacket(affected_rows=1, info=b"Rows matched: 2  Changed: 1  Warnings: 0")
    taken = _capture("UPDATE t_1 SET word = 'x'")
    assert taken.agrees(ok, Found(2, 1, 0, 0), counts_found=False)
    assert not taken.agrees(ok, Found(1, 1, 0, 0), counts_found=False)
    assert not taken.agrees(ok, Found(2, 0, 0, 0), counts_found=False), "a column nobody knows has changed"


def test_rows_that_stay_count_where_the_client_asks_for_rows_found() -> None:
    taken = _capture("INSERT INTO t_1 (id) VALUES (1) ON DUPLICATE KEY UPDATE word = 'x'")
    assert taken.agrees(OkPacket(affected_rows=1), Found(1, 0, 0, 1), counts_found=True)
    assert not taken.agrees(OkPacket(affected_rows=1), Found(1, 0, 0, 1), counts_found=False)


@pytest.mark.parametrize(
    ("sql", "outdated"),
    [
        ("UPDATE t_1 AS t SET t.Word = 'a', twice = DEFAULT", False),
        ("UPDATE t_1 AS t SET word = 'a', t.extra = 1", True),
        ("INSERT INTO t_1 VALUES (1, 'a', DEFAULT) ON DUPLICATE KEY UPDATE word = 'b'", False),
        ("INSERT INTO t_1 VALUES (1, 'a', DEFAULT) ON DUPLICATE KEY UPDATE extra = 1", True),
        ("DELETE FROM t_1 WHERE extra = 1", False),
    ],
)
def test_an_assigned_column_that_was_not_there_is_noticed(sql: str, outdated: bool) -> None:
    assert _capture(sql).outdated is outdated


def test_where_rows_are_moved_more_is_told() -> None:
    moving = capture(
        "REPLACE INTO t_1 VALUES (1, 'a', DEFAULT), (2, 'b', DEFAULT)", SCHEMAS.get, DEFAULT, MOVING
    )
    equal = Found(before=2, changed=1, made=0, named=2)
    # A row in the place of its equal: once or twice.
    for affected, told in ((2, False), (3, True), (4, True), (5, False)):
        ok = OkPacket(affected_rows=affected)
        assert moving.agrees(ok, equal, counts_found=False, exactly=False) is told
        assert not moving.agrees(ok, equal, counts_found=False)
    # The second has replaced the first.
    assert moving.agrees(
        OkPacket(affected_rows=3),
        Found(before=0, changed=0, made=1, named=1),
        counts_found=False,
        exactly=False,
    )
    ansi = LexerFlags(ansi_quotes=True)
    assert capture("DELETE FROM \"t_1\" WHERE word = 'a'", SCHEMAS.get, ansi, MOVING).table.name == "t_1"
    with pytest.raises(
        MeshError, match="a write to a table whose rows are being moved that assigns a column"
    ):
        capture(
            "INSERT INTO t_1 (id) VALUES (1) ON DUPLICATE KEY UPDATE id = 2", SCHEMAS.get, DEFAULT, MOVING
        )


@pytest.mark.parametrize("value", ["id", "LAST_INSERT_ID(id)", "last_insert_id( `ID` )"])
def test_a_key_that_stays_may_be_assigned(value: str) -> None:
    taken = _capture(
        f"INSERT INTO t_1 (id, word) VALUES (1, 'a') ON DUPLICATE KEY UPDATE id = {value}, word = 'b'"
    )
    assert "`word`='a'" in taken.before
