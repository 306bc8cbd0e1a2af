"""MariaDB's clauses about how rows are worked through: where they stand, and that the tree tells of them."""

from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.sql.parse import parse
from dbmesh.sql.server_forms import GROUP_ORDER, ROWS_EXAMINED, server_forms


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("SELECT a FROM t GROUP BY a DESC", (GROUP_ORDER,)),
        ("SELECT a FROM t GROUP BY f(a) ASC, b DESC HAVING 1 ORDER BY a DESC LIMIT 2", (GROUP_ORDER,)),
        ("SELECT a FROM t WHERE b IN (SELECT c FROM u GROUP BY c DESC)", (GROUP_ORDER,)),
        ("SELECT a FROM t LIMIT ROWS EXAMINED 5", (ROWS_EXAMINED,)),
        ("SELECT a FROM t GROUP BY a DESC LIMIT 1, 2 ROWS EXAMINED 5", (GROUP_ORDER, ROWS_EXAMINED)),
        ("SELECT a FROM t GROUP BY a ORDER BY a DESC", ()),
        ("SELECT GROUP_CONCAT(a ORDER BY a DESC) FROM t GROUP BY `desc`", ()),
    ],
)
def test_the_tree_tells_what_it_leaves_out(text: str, forms: tuple[str, ...]) -> None:
    assert server_forms(parse(text)) == forms


def test_a_word_where_none_belongs_is_an_error() -> None:
    with pytest.raises(MeshError):
        parse("SELECT a FROM t WHERE a DESC")
