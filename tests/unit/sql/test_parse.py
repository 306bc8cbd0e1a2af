"""Trees of statements, where sqlglot needs help: nodes stand where the client wrote them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlglot import exp

from dbmesh.errors import MeshError
from dbmesh.sql.parse import parse


@pytest.mark.parametrize(
    "text", ["VALUES (0)", "VALUES (0, ''), (0, 0)", "  values (0)", "VALUES\n(0) ORDER BY 1 LIMIT 0"]
)
def test_values_is_a_query_and_no_function(text: str) -> None:
    tree = parse(text)
    assert isinstance(tree, exp.Values)
    for literal in tree.find_all(exp.Literal):
        written = text[literal.meta["start"] : literal.meta["end"] + 1]
        assert written.strip("'") == literal.this


def test_values_may_begin_a_union() -> None:
    assert isinstance(parse("VALUES (0) UNION SELECT 0"), exp.Union)


def test_values_that_end_too_soon_are_no_statement() -> None:
    with pytest.raises(MeshError):
        parse("VALUES (0")


def test_the_dialect_is_complete_before_any_thread_reads_with_it() -> None:
    program = "import sys, dbmesh.sql.parse; sys.exit('sqlglot.dialects.mysql' not in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
