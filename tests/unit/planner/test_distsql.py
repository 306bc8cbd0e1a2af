"""DistSQL is read in every form that is documented, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbmesh.errors import MeshError
from dbmesh.planner.distsql import CONFIGURATION, COUNTED, MESH, NAMED, RULES, read_distsql
from dbmesh.planner.distsql_rules import LISTINGS
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.session_plan import LocalRows, SessionStatement, ShowMesh, ShowRules, SwitchMember

DOCS = Path(__file__).parents[3] / "docs" / "OPERATIONS.md"


def read(sql: str) -> SessionStatement | None:
    return read_distsql(LexemeReader(sql))


@pytest.mark.parametrize(
    ("sql", "statement"),
    [
        ("SHOW STORAGE UNITS", ShowRules("STORAGE UNITS")),
        ("show storage units from shop", ShowRules("STORAGE UNITS", database="shop")),
        (
            "SHOW STORAGE UNITS WHERE USAGE_COUNT = 0 FROM shop",
            ShowRules("STORAGE UNITS", database="shop", usage=0),
        ),
        ("SHOW SHARDING TABLE RULE t_order", ShowRules("SHARDING TABLE RULE", "t_order")),
        ("SHOW SHARDING TABLE RULE `t order` FROM shop", ShowRules("SHARDING TABLE RULE", "t order", "shop")),
        ("SHOW SHARDING TABLE NODES", ShowRules("SHARDING TABLE NODES")),
        ("SHOW SHARDING TABLE NODES FROM shop", ShowRules("SHARDING TABLE NODES", database="shop")),
        ("SHOW SHARDING TABLE NODES t FROM shop", ShowRules("SHARDING TABLE NODES", "t", "shop")),
        ("SHOW SINGLE TABLES LIKE '%5' FROM shop", ShowRules("SINGLE TABLES", None, "shop", "%5")),
        (
            "SHOW STATUS FROM READWRITE_SPLITTING RULE g FROM shop",
            ShowRules("STATUS FROM READWRITE_SPLITTING RULE", "g", "shop"),
        ),
        ("COUNT SHARDING RULE FROM shop", ShowRules("COUNT SHARDING RULE", database="shop")),
        ("SHOW COMPUTE NODES", ShowMesh("COMPUTE NODES")),
        ("SHOW DIST VARIABLE WHERE NAME = sql_show", ShowMesh("DIST VARIABLE", "sql_show")),
        ("SHOW DIST VARIABLES LIKE 'sql%'", ShowMesh("DIST VARIABLES", None, "sql%")),
        ("EXPORT DATABASE CONFIGURATION", ShowMesh(CONFIGURATION)),
        ("EXPORT DATABASE CONFIGURATION FROM shop", ShowMesh(CONFIGURATION, database="shop")),
        ("DISABLE COMPUTE NODE 'a-b'", SwitchMember("a-b", on=False)),
        ("ENABLE COMPUTE NODE 3e84d33e-cb97", SwitchMember("3e84d33e-cb97", on=True)),
        (
            "ALTER READWRITE_SPLITTING RULE g DISABLE r FROM shop",
            SwitchMember("r", on=False, group="g", database="shop"),
        ),
    ],
)
def test_a_form(sql: str, statement: SessionStatement) -> None:
    assert read(sql) == statement


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW STORAGE ENGINES",
        "SHOW STATUS",
        "SHOW STATUS LIKE 'x'",
        "SHOW TABLES",
        "SHOW FULL TABLES",
        "ALTER TABLE t ADD a INT",
        "SELECT 1",
    ],
)
def test_what_is_none(sql: str) -> None:
    assert read(sql) is None


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW STORAGE UNITS WHERE USAGE_COUNT = x",
        "SHOW SHARDING TABLE RULE",
        "SHOW COMPUTE NODES FROM shop",
        "SHOW MASK RULES LIKE 5",
        "COUNT SHARDING RULE x",
        "DISABLE COMPUTE NODE",
        "ALTER READWRITE_SPLITTING RULE g DROP r",
        "PARSE",
        "PARSE SELECT FROM WHERE",
    ],
)
def test_what_begins_right_and_ends_wrong(sql: str) -> None:
    with pytest.raises(MeshError):
        read(sql)


def test_what_the_parser_makes_of_a_statement() -> None:
    parsed, formatted = read("PARSE SELECT a FROM t"), read("FORMAT select a,b from t")
    assert isinstance(parsed, LocalRows)
    assert parsed.columns == ("parsed_statement", "parsed_statement_detail")
    assert parsed.rows[0][0] == "Select"
    assert isinstance(formatted, LocalRows)
    assert formatted.rows == (("SELECT\n  a,\n  b\nFROM t",),)


def test_every_form_shows_something_and_is_documented() -> None:
    shown = {form for form, _ in RULES} | {f"COUNT {form}" for form in COUNTED}
    assert shown == set(LISTINGS)
    text = DOCS.read_text()
    for form, takes in (*RULES, *MESH):
        name = form.removesuffix("S") if takes == NAMED else form
        assert f"SHOW {name}" in text or f"SHOW {name}S" in text, form
