"""RETURNING gives the rows one server would give, in its order, and each once (MariaDB only: MySQL knows no RETURNING)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.statements.conftest import Twins
from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(chosen_product() == "MySQL", reason="MySQL knows no RETURNING"),
]

TABLES = ("t_user", "t_order", "t_country", "t_config", "t_auto")

IN_ORDER = """
INSERT INTO t_auto (id, word, n) VALUES (11, 'a', 1) RETURNING id, word
INSERT INTO t_auto (id, word, n) VALUES (14, 'a', 1), (11, 'b', 2), (13, 'c', 3), (12, 'd', 4) RETURNING id, n + 1
INSERT INTO t_auto VALUES (14, 'a', 1), (1, 'b', 2), (13, 'c', 3) ON DUPLICATE KEY UPDATE n = n + 50 RETURNING *
REPLACE INTO t_auto VALUES (14, 'a', 1), (1, 'b', 2), (13, 'c', 3) RETURNING id, n
INSERT INTO t_auto (id, word) SELECT user_id + 100, name FROM t_user WHERE user_id < 9 ORDER BY user_id RETURNING id, word
INSERT INTO t_auto (id) SELECT user_id FROM t_user WHERE user_id < 8 ORDER BY 1 ON DUPLICATE KEY UPDATE n = 5 RETURNING id, n
REPLACE INTO t_auto (id, word) SELECT user_id, name FROM t_user WHERE user_id < 8 ORDER BY user_id DESC RETURNING id, word
INSERT INTO t_auto (id, word) SELECT user_id, name FROM t_user WHERE user_id > 1000 RETURNING id, word, n AS number
INSERT INTO t_auto SET id = 20, n = (SELECT MAX(qty) FROM t_order) RETURNING id, n
INSERT INTO t_auto (id, n) VALUES (20, (SELECT MAX(qty) FROM t_order)), (21, 3) RETURNING id, n
DELETE FROM t_auto ORDER BY id DESC LIMIT 2 RETURNING id, word
DELETE FROM t_auto ORDER BY id DESC RETURNING t_auto.id, word
DELETE FROM t_auto WHERE id > 2 ORDER BY id LIMIT 3 RETURNING *, UPPER(word)
INSERT INTO t_country (code, name) VALUES ('XX', 'x'), ('YY', 'y') RETURNING code
REPLACE INTO t_country (code, name) VALUES ('DE', 'x'), ('YY', 'y') RETURNING *
DELETE FROM t_country ORDER BY code LIMIT 2 RETURNING code
INSERT INTO t_country (code, name) SELECT CONCAT('Z', user_id), name FROM t_user WHERE user_id < 4 ORDER BY user_id RETURNING code
INSERT INTO t_config SELECT CONCAT('c', user_id), email FROM t_user WHERE user_id < 4 ORDER BY user_id RETURNING name
"""

IN_ANY_ORDER = """
DELETE FROM t_auto WHERE id = 3 RETURNING id, word
DELETE FROM t_auto WHERE id > 2 RETURNING id, word
DELETE FROM t_auto RETURNING *
DELETE FROM t_auto WHERE id > 1000 RETURNING id
DELETE FROM t_auto WHERE id IN (SELECT user_id FROM t_user WHERE user_id < 4) RETURNING id, n * 2 AS twice
DELETE FROM t_auto WHERE n < (SELECT AVG(n) FROM t_auto) RETURNING id
DELETE FROM t_auto WHERE n > (SELECT MAX(n) FROM t_auto) RETURNING *
DELETE FROM t_types WHERE f > (SELECT 8) RETURNING id, f, kind, doc
INSERT IGNORE INTO t_auto VALUES (11, 'a', 1), (1, 'b', 2) RETURNING id, n
DELETE FROM t_country WHERE code = 'DE' RETURNING code, name
DELETE FROM t_country RETURNING *
DELETE FROM t_country WHERE code IN (SELECT country FROM t_user WHERE user_id < 3) RETURNING code
INSERT IGNORE INTO t_country (code, name) VALUES ('DE', 'x'), ('YY', 'y') RETURNING code
DELETE FROM t_config WHERE EXISTS (SELECT 1 FROM t_user WHERE user_id = 3) RETURNING name
"""


CASES = [
    (line, ordered)
    for text, ordered in ((IN_ORDER, True), (IN_ANY_ORDER, False))
    for line in text.strip().splitlines()
]


@pytest.fixture(scope="module")
def sessions(shop: Shop) -> Iterator[Twins]:
    """Two sessions whose transactions every test rolls back."""
    made = Twins(shop)
    yield made
    made.close()


@pytest.mark.parametrize(("statement", "ordered"), CASES)
def test_the_rows_a_write_returns(sessions: Twins, statement: str, ordered: bool) -> None:
    answers = []
    for connection in (sessions.mesh, sessions.plain):
        ask(connection, "BEGIN")
        ask(
            connection,
            "INSERT INTO t_auto VALUES (1,'a',1),(2,'b',2),(3,'c',3),(4,'d',4),(5,'e',5),(6,'f',6)",
        )
        answer = ask(connection, statement)
        stored = [ask(connection, f"SELECT * FROM {table}").as_bag().rows for table in TABLES]
        answers.append((answer if ordered else answer.as_bag(), stored))
        ask(connection, "ROLLBACK")
    (mesh, mesh_stored), (plain, plain_stored) = answers
    assert mesh.error is None, mesh.text
    assert (mesh.rows, mesh.warnings) == (plain.rows, plain.warnings)
    assert [column.name for column in mesh.columns] == [column.name for column in plain.columns]
    assert mesh_stored == plain_stored


def test_generated_keys_are_returned_in_the_order_of_the_rows(fresh_shop: Shop) -> None:
    """A client gives each of its objects the key that stands in the same place."""
    words = [f"word {number}" for number in range(40)]
    values = ", ".join(f"('{word}')" for word in words)
    with fresh_shop.target.connect() as connection:
        answer = ask(connection, f"INSERT INTO t_auto (word) VALUES {values} RETURNING id, word")
        assert [word for _, word in answer.rows] == words
        assert ask(connection, "SELECT LAST_INSERT_ID()").rows == ((answer.rows[0][0],),)
        stored = ask(connection, "SELECT id, word FROM t_auto").as_bag()
    assert answer.as_bag().rows == stored.rows
