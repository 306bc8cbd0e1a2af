"""Prepared statements over several data nodes: every value bit for bit as one server sends it in binary rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.differential.client import Answer, Client, Prepared
from tests.differential.values import integer
from tests.plugins.fix_mesh import Shop, Target

pytestmark = pytest.mark.integration

CASES: list[tuple[str, tuple[int, ...]]] = [
    ("SELECT * FROM t_types", ()),
    ("SELECT * FROM t_types WHERE id > ?", (2,)),
    ("SELECT f, d, ? FROM t_types", (7,)),
    ("SELECT id, f, d, clock, moment, stamp, day FROM t_types ORDER BY moment, id", ()),
    ("SELECT id, d FROM t_types ORDER BY d DESC, id LIMIT ? OFFSET ?", (3, 2)),
    ("SELECT id, clock FROM t_types WHERE id < ? ORDER BY clock + ?, id", (50, 1)),
    ("SELECT word, id FROM t_types ORDER BY word, id", ()),
    ("SELECT kind, tags, flag, doc, bin, data FROM t_types WHERE id IN (?, ?, ?)", (1, 2, 3)),
    ("SELECT MIN(d), MAX(d), SUM(big), AVG(number), COUNT(*) FROM t_types WHERE id <> ?", (3,)),
    ("SELECT country, SUM(balance), AVG(balance), MIN(born) FROM t_user GROUP BY country", ()),
    ("SELECT DISTINCT status FROM t_order WHERE qty > ? ORDER BY status", (1,)),
    ("SELECT country, COUNT(*) FROM t_user GROUP BY country HAVING COUNT(*) > ? ORDER BY 2 DESC, 1", (3,)),
]


def _client(target: Target) -> Client:
    return Client(target.port, target.user, target.password, target.database)


@pytest.fixture(scope="module")
def clients(shop: Shop) -> Iterator[tuple[Client, Client]]:
    """The mesh and the plain server."""
    with _client(shop.target) as mesh, _client(shop.plain) as plain:
        yield mesh, plain


@pytest.mark.parametrize(("sql", "numbers"), CASES)
def test_binary_rows_are_one_servers(
    clients: tuple[Client, Client], sql: str, numbers: Sequence[int]
) -> None:
    answers: list[Answer] = []
    for client in clients:
        prepared = client.prepare_statement(sql)
        assert isinstance(prepared, Prepared)
        # A second run finds the statement prepared on the shards.
        answers += [client.run(prepared, list(map(integer, numbers))) for _ in range(2)]
        client.close_statement(prepared)
    first, second, plain, _ = answers
    order = list if "ORDER BY" in sql else sorted
    assert order(first.rows) == order(second.rows) == order(plain.rows)
    assert [column.name for column in first.definitions()] == [column.name for column in plain.definitions()]
