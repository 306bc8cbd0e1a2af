"""SET against a real mesh: every connection behaves like the session that uses it."""

from __future__ import annotations

import pymysql
import pytest

from dbmesh.backend.state import ISOLATION
from dbmesh.wire.constants import ColumnType, Command
from dbmesh.wire.packets import parse_err
from tests.plugins import canned
from tests.plugins.fix_mesh import Target
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld, prepared


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("'READ-COMMITTED'", "READ COMMITTED"),
        ("serializable", "SERIALIZABLE"),
        ("2", "REPEATABLE READ"),
        ("'READ COMMITTED, READ ONLY'", None),
        ("'nope'", None),
        ("4", None),
    ],
)
async def test_isolation_levels_are_read(value: str, level: str | None) -> None:
    world = SessionWorld()
    [(_, packet)] = await world.command(b"\x03SET SESSION tx_isolation = " + value.encode())
    assert (parse_err(packet).number if packet[0] == 0xFF else 0) == (0 if level else 1231)
    assert world.session.state.variable(ISOLATION) == (f"ISOLATION LEVEL {level}" if level else None)
    await world.end()


@pytest.mark.parametrize(
    ("expression", "sent"),
    [
        ("1 + 1", ("ds_0", "SELECT (1 + 1)")),
        ("(SELECT status FROM t_order WHERE user_id = 6)", ("ds_1", "FROM t_order_2 AS t_order")),
        ("(SELECT id FROM t_far)", ("ds_1", "FROM t_far")),
        ("DATABASE()", ("ds_0", "'shop'")),
    ],
)
async def test_an_expression_is_computed_where_its_rows_are(expression: str, sent: tuple[str, str]) -> None:
    world = SessionWorld()
    found = column("v", ColumnType.LONGLONG)

    def reply(name: str, payload: bytes) -> bytes:
        if payload[0] == Command.STMT_PREPARE:
            return prepared([], [found])
        if b"SET character_set_results = NULL" in payload:
            return canned.ok()
        # Of a prepared statement the row is a binary one: no NULL, and eight bytes.
        seven = [b"", b"", bytes(7)] if payload[0] == Command.STMT_EXECUTE else [b"7"]
        return canned.result_set([found], [seven])

    world.reply = reply
    await world.command(b"\x03SET @v = " + expression.encode())
    (_, told), (name, asked), *_ = world.sent
    assert told.endswith(b"SET character_set_results = NULL"), (
        "a text is to come as it is, with its collation"
    )
    assert name == sent[0]
    assert sent[1].encode() in asked
    assert (asked[0] == Command.STMT_PREPARE) == ("FROM" in expression), "rows may hold numbers a text rounds"
    assert world.session.state.user_variable("v") == "7"
    assert world.lent == 0


@pytest.mark.parametrize(
    ("expression", "number"),
    [
        ("1; DELETE FROM t_country", 1064),
        ("1 FROM t_country", 1064),
        ("1 + ?", 1064),
        ("(SELECT 1 FROM nothing)", 1146),
    ],
)
async def test_an_expression_that_is_none_of_the_sessions_is_not_sent(expression: str, number: int) -> None:
    world = SessionWorld()
    ((_, packet),) = await world.command(b"\x03SET @v = " + expression.encode())
    assert parse_err(packet).number == number
    assert world.sent == []
    assert world.session.state.user_variable("v") is None


@pytest.mark.integration
@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 1", 2),
        ("'a''b\\\\c'", "a'b\\c"),
        ("CONCAT('it', '''s')", "it's"),
        ("UNHEX('FF00')", b"\xff\x00"),
        ("UNHEX('')", b""),
        ("NULLIF(1, 1)", None),
        ("(SELECT name FROM t_user WHERE user_id = 5)", "user 05"),
        ("(SELECT COUNT(*) FROM t_country)", 4),
        ("(SELECT COUNT(*) FROM t_order)", 240),
        ("DATABASE()", "shop"),
    ],
)
def test_a_user_variable_holds_its_value(target: Target, expression: str, value: object) -> None:
    with target.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SET @v = {expression}")
        cursor.execute("SELECT @v")
        found = cursor.fetchone()
    assert found is not None
    got = found[0].encode() if isinstance(found[0], str) and isinstance(value, bytes) else found[0]
    assert got == value


@pytest.mark.integration
def test_a_refused_variable_changes_nothing(target: Target) -> None:
    with target.connect() as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.err.MySQLError):
            cursor.execute("SET sort_buffer_size = 65536, sql_mode = 'NONSENSE'")
        cursor.execute("SELECT @@sql_mode LIKE '%NONSENSE%'")
        assert cursor.fetchone() == (0,)
    with target.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
