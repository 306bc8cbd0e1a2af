"""Session statements are read exactly, from the client's own text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.planner.session_plan import (
    Assignment,
    Begin,
    Commit,
    Kill,
    Nothing,
    Rollback,
    Savepoint,
    Scope,
    SessionStatement,
    SetVariables,
    ShowMeshProcesses,
    ShowProcessList,
    ShowSessions,
    ShowWarnings,
    TextDeallocate,
    TextExecute,
    TextPrepare,
    Use,
)
from dbmesh.planner.session_statements import plan_session_statement
from dbmesh.sql.lexer import LexerFlags


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("", Nothing()),
        (" ; ", Nothing()),
        ("/* only a comment */ -- and another", Nothing()),
        ("begin", Begin()),
        ("BEGIN WORK;", Begin()),
        ("START TRANSACTION", Begin()),
        ("start transaction read only", Begin("read only")),
        (
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ WRITE",
            Begin("WITH CONSISTENT SNAPSHOT, READ WRITE"),
        ),
        ("COMMIT", Commit()),
        ("COMMIT WORK AND CHAIN NO RELEASE", Commit(chain=True)),
        ("COMMIT AND NO CHAIN RELEASE", Commit(release=True)),
        ("ROLLBACK", Rollback()),
        ("/*!40101 ROLLBACK */", Rollback()),
        ("ROLLBACK RELEASE", Rollback(release=True)),
        ("ROLLBACK TO a", Rollback(savepoint="a")),
        ("ROLLBACK WORK TO SAVEPOINT `s``p 1`", Rollback(savepoint="s`p 1")),
        ("SAVEPOINT sp_1", Savepoint("sp_1")),
        ("SAVEPOINT s140233_x2", Savepoint("s140233_x2")),
        ("RELEASE SAVEPOINT sp_1", Savepoint("sp_1", release=True)),
        ("USE shop", Use("shop")),
        ("use `my shop`", Use("my shop")),
        ("KILL 12", Kill(12, query=False)),
        ("KILL CONNECTION 12", Kill(12, query=False)),
        ("KILL QUERY 12", Kill(12, query=True)),
        ("PREPARE p FROM 'SELECT ''x'' + ?'", TextPrepare("p", "SELECT 'x' + ?")),
        ("PREPARE p FROM @q", TextPrepare("p", "", "q")),
        ("EXECUTE p", TextExecute("p", ())),
        ("EXECUTE p USING @a, @`b c`", TextExecute("p", ("a", "b c"))),
        ("DEALLOCATE PREPARE p", TextDeallocate("p")),
        ("DROP PREPARE p", TextDeallocate("p")),
        ("UNLOCK TABLES", Nothing()),
        ("SHOW WARNINGS", ShowWarnings()),
        ("SHOW WARNINGS LIMIT 5", ShowWarnings(limit=5)),
        ("SHOW WARNINGS LIMIT 2, 5", ShowWarnings(offset=2, limit=5)),
        ("SHOW ERRORS LIMIT 5 OFFSET 2", ShowWarnings(errors_only=True, offset=2, limit=5)),
        ("SHOW COUNT(*) WARNINGS", ShowWarnings(count=True)),
        ("show count( * ) errors", ShowWarnings(errors_only=True, count=True)),
        ("SHOW PROCESSLIST", ShowProcessList(full=False)),
        ("SHOW FULL PROCESSLIST", ShowProcessList(full=True)),
        ("SHOW PROXY SESSIONS", ShowSessions()),
        ("SHOW PROXY PROCESSLIST", ShowMeshProcesses()),
    ],
)
def test_reads(statement: str, expected: SessionStatement) -> None:
    assert plan_session_statement(statement) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ('USE "my db"', Use("my db")),
        ("PREPARE p FROM 'SELECT \\'", TextPrepare("p", "SELECT \\")),
        (
            """SET @a = 'x\\', @b = "c" """,
            SetVariables(
                (
                    Assignment(Scope.USER, "a", "'x\\'", literal=True),
                    Assignment(Scope.USER, "b", '"c"', literal=False),
                )
            ),
        ),
    ],
)
def test_reads_as_sql_mode_says(statement: str, expected: SessionStatement) -> None:
    assert plan_session_statement(statement, LexerFlags(True, True)) == expected


@pytest.mark.parametrize(
    "statement",
    ["SELECT 1", "INSERT INTO t VALUES (1)", "SHOW TABLES", "DROP TABLE t", "CREATE TABLE t (a int)", "XY"],
)
def test_leaves_the_rest_to_the_planner(statement: str) -> None:
    assert plan_session_statement(statement) is None


@pytest.mark.parametrize(
    ("statement", "near"),
    [
        ("COMMIT now", "now"),
        ("BEGIN x", "x"),
        ("START TRANSACTION READ", "READ"),
        ("START TRANSACTION READ ONLY,", ""),
        ("SAVEPOINT", ""),
        ("SAVEPOINT a b", "b"),
        ("KILL a", "a"),
        ("KILL 1.5", "1.5"),
        ("PREPARE p FROM (1", ""),
        ("EXECUTE p USING 1,", ""),
        ("SHOW WARNINGS LIMIT x", "x"),
        ("SHOW COUNT(*) TABLES", "TABLES"),
        ("UNLOCK x", "x"),
        ("USE", ""),
    ],
)
def test_syntax_errors_name_the_place(statement: str, near: str) -> None:
    with pytest.raises(MeshError) as raised:
        plan_session_statement(statement)
    assert raised.value.number == 1064
    assert f"near '{near}'" in str(raised.value)


def test_a_syntax_error_names_the_line() -> None:
    with pytest.raises(MeshError, match="at line 3"):
        plan_session_statement("COMMIT\n\nnow")


@pytest.mark.parametrize(
    "statement",
    [
        "LOCK TABLES t READ",
        "BEGIN NOT ATOMIC SELECT 1; END",
        "HANDLER t OPEN",
        "CHANGE MASTER TO MASTER_HOST='x'",
        "START SLAVE",
        "STOP REPLICA",
        "PURGE BINARY LOGS TO 'x'",
        "RESET MASTER",
        "INSTALL PLUGIN x SONAME 'y'",
        "FLUSH TABLES WITH READ LOCK",
        "FLUSH TABLES t_order",
        "SHUTDOWN",
        "LOAD DATA INFILE 'x' INTO TABLE t",
        "CALL p(@@version)",
        "CALL p((SELECT id FROM t_order))",
        "CALL p(LAST_INSERT_ID())",
        "KILL USER bob",
    ],
)
def test_refusals_say_what_to_do(statement: str) -> None:
    with pytest.raises(MeshError) as raised:
        plan_session_statement(statement)
    assert raised.value.number == 1235
    assert "; " in str(raised.value)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1))
def test_any_quoted_name_comes_back_whole(name: str) -> None:
    quoted = name.replace("`", "``")
    assert plan_session_statement(f"SAVEPOINT `{quoted}`") == Savepoint(name)


@given(st.text(alphabet="SETUSKILL 'x`\"@=,();0/*-#\n\\", max_size=20))
def test_random_text_is_read_or_refused(statement: str) -> None:
    numbers: list[int] = []
    try:
        plan_session_statement(statement)
    except MeshError as error:
        numbers.append(error.number)
    assert set(numbers) <= {1064, 1235}
