"""Forms sqlglot does not read: what is made of them keeps every place."""

from __future__ import annotations

import pytest
from sqlglot import exp

from dbmesh.sql.parse import parse
from dbmesh.sql.unread_forms import readable


@pytest.mark.parametrize(
    ("text", "simpler"),
    [
        ("SELECT { d '2024-01-01' }", "SELECT     '2024-01-01'  "),
        ("SELECT {ts'2024-01-01 10:00:00'}, {fn NOW()}", "SELECT    '2024-01-01 10:00:00' , {fn NOW()}"),
        (
            "SELECT 1 FROM JSON_TABLE('', '' COLUMNS (a INT PATH '' DEFAULT '0' ON EMPTY ERROR ON ERROR)) t",
            "SELECT 1 FROM JSON_TABLE('', '' COLUMNS (a INT PATH ''" + 36 * " " + ")) t",
        ),
        (
            "SELECT 1 FROM JSON_TABLE('', '' COLUMNS (a INT EXISTS PATH '', NESTED PATH '' COLUMNS (b INT PATH '$'))) t",
            "SELECT 1 FROM JSON_TABLE('', '' COLUMNS (a INT        PATH '',                         b INT PATH '$' )) t",
        ),
        ("SELECT NULL ON EMPTY", "SELECT NULL ON EMPTY"),
        (
            "DELETE a.*, s.b . * FROM a JOIN s.b WHERE a.x IN (SELECT a.* FROM a)",
            "DELETE a  , s.b     FROM a JOIN s.b WHERE a.x IN (SELECT a.* FROM a)",
        ),
        ("CREATE TABLE t (a INT) IGNORE SELECT 1", "CREATE TABLE t (a INT)        SELECT 1"),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE OR REPLACE VIEW v AS SELECT 1"),
        ("MATCH (a, b) AGAINST (0 IN BOOLEAN MODE) > 1", "FIELD (a, b) <       (0                ) > 1"),
        ("match(a)against(@x with query expansion)", "FIELD(a)<      (@x                     )"),
    ],
)
def test_what_stands_in_its_place(text: str, simpler: str) -> None:
    assert readable(text) == simpler
    assert len(simpler) == len(text)


def test_the_tree_has_the_places_of_the_text() -> None:
    text = (
        "SELECT t.a, {d '2024-01-01'} FROM JSON_TABLE('', '' COLUMNS (a INT PATH '' NULL ON EMPTY)) t JOIN u"
    )
    table = next(node for node in parse(text).find_all(exp.Table) if node.name == "u")
    assert text[table.this.meta["start"] : table.this.meta["end"] + 1] == "u"
