"""SET: scope, name, value as written, and whether the value may be carried to another connection."""

import pytest

from dbmesh.errors import MeshError
from dbmesh.planner.session_plan import Assignment, Scope, SetVariables
from dbmesh.planner.session_statements import plan_session_statement


def session(name: str, expression: str, *, literal: bool = True, extra: str | None = None) -> Assignment:
    return Assignment(Scope.SESSION, name, expression, literal, extra)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SET NAMES utf8mb4", [session("names", "utf8mb4")]),
        ("SET NAMES 'UTF8MB4' COLLATE 'utf8mb4_bin'", [session("names", "utf8mb4", extra="utf8mb4_bin")]),
        ("/*!40101 SET NAMES utf8 */", [session("names", "utf8")]),
        ("SET NAMES DEFAULT", [session("names", "DEFAULT")]),
        ("SET CHARACTER SET latin1", [session("character set", "latin1")]),
        ("SET CHARSET 'latin1'", [session("character set", "latin1")]),
        ("SET autocommit=0", [session("autocommit", "0")]),
        ("SET AUTOCOMMIT = ON", [session("autocommit", "ON")]),
        ("SET @@autocommit := 1", [session("autocommit", "1")]),
        ("SET @@session . sql_mode = ''", [session("sql_mode", "''")]),
        ("SET LOCAL sql_mode='ANSI'", [session("sql_mode", "'ANSI'")]),
        ("SET sql_mode = ANSI", [session("sql_mode", "ANSI")]),
        ("SET `sql_mode` = DEFAULT", [session("sql_mode", "DEFAULT")]),
        ("SET timestamp=-1.5", [session("timestamp", "-1.5")]),
        ("SET character_set_results = NULL", [session("character_set_results", "NULL")]),
        (
            "SET SESSION sql_mode=CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')",
            [session("sql_mode", "CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')", literal=False)],
        ),
        (
            "SET SESSION net_write_timeout=60, @@wait_timeout = 5, @a := 'x,y', @b = @a + 1",
            [
                session("net_write_timeout", "60"),
                session("wait_timeout", "5"),
                Assignment(Scope.USER, "a", "'x,y'", literal=True),
                Assignment(Scope.USER, "b", "@a + 1", literal=False),
            ],
        ),
        ("SET @a = NULL", [Assignment(Scope.USER, "a", "NULL", literal=True)]),
        ("SET @a = _utf8mb4'x'", [Assignment(Scope.USER, "a", "_utf8mb4'x'", literal=True)]),
        ("SET @a = b", [Assignment(Scope.USER, "a", "b", literal=False)]),
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            [session("transaction", "ISOLATION LEVEL READ COMMITTED")],
        ),
        (
            "SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE",
            [Assignment(Scope.TRANSACTION, "transaction", "READ ONLY, ISOLATION LEVEL SERIALIZABLE", True)],
        ),
        (
            "SET transaction_isolation = 'READ-COMMITTED'",
            [session("transaction_isolation", "'READ-COMMITTED'")],
        ),
        (
            "SET @@transaction_isolation = 'read-committed'",
            [Assignment(Scope.TRANSACTION, "transaction", "ISOLATION LEVEL READ COMMITTED", True)],
        ),
        (
            "SET @@tx_read_only = 1",
            [Assignment(Scope.TRANSACTION, "transaction", "READ ONLY", True)],
        ),
        ("SET names = 1", [session("names", "1")]),
        (
            "SET GLOBAL a = 1, @@global.b = @x, SESSION c = 2",
            [
                Assignment(Scope.GLOBAL, "a", "1", True),
                Assignment(Scope.GLOBAL, "b", "@x", False),
                session("c", "2"),
            ],
        ),
    ],
)
def test_assignments(statement: str, expected: list[Assignment]) -> None:
    assert plan_session_statement(statement) == SetVariables(tuple(expected))


@pytest.mark.parametrize(
    "statement",
    [
        "SET PERSIST max_connections = 1",
        "SET @@persist_only.max_connections = 1",
        "SET autocommit = 1, PERSIST max_connections = 1",
        "SET hot.key_buffer_size = 1",
        "SET @@hot.key_buffer_size = 1",
        "SET @@transaction_isolation = @x",
        "SET @a = 1, PASSWORD = PASSWORD('x')",
        "SET NAMES utf8mb4, PASSWORD FOR root = 'x'",
    ],
)
def test_refused(statement: str) -> None:
    with pytest.raises(MeshError) as raised:
        plan_session_statement(statement)
    assert raised.value.number == 1235


@pytest.mark.parametrize(
    "statement",
    [
        "SET",
        "SET a",
        "SET a =",
        "SET a = 1,",
        "SET a = (1",
        "SET NAMES",
        "SET NAMES 5",
        "SET NAMES utf8 x",
        "SET TRANSACTION",
        "SET TRANSACTION READ",
        "SET TRANSACTION READ ONLY, READ WRITE",
        "SET TRANSACTION ISOLATION LEVEL NONE",
    ],
)
def test_syntax_errors(statement: str) -> None:
    with pytest.raises(MeshError) as raised:
        plan_session_statement(statement)
    assert raised.value.number == 1064


@pytest.mark.parametrize(
    "statement",
    [
        "SET `a = 1, password` = 'x'",
        "SET @@`a=1,password` = 'x'",
        "SET @@session.`a=1,password` = 'x'",
        "SET `global max_connections` = 1",
        "SET GLOBAL `a = 1, GLOBAL b` = 1",
        "SET STATEMENT `a = 1, password` = 'x' FOR SELECT 1",
        "SET `password` = 'x'",
        "SET @@password = 'x'",
        "SET SESSION `transaction` = 'x'",
    ],
)
def test_what_is_no_name_of_a_variable_reaches_no_data_source(statement: str) -> None:
    with pytest.raises(MeshError) as raised:
        plan_session_statement(statement)
    assert raised.value.number == 1193
