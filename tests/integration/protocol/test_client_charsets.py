"""Clients that speak character sets whose second bytes can be ASCII: to them the mesh is the one server it stands for."""

from __future__ import annotations

from typing import Any

import mysql.connector
import pytest

from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop, Target

pytestmark = pytest.mark.integration

# The second byte of each is a backslash, or another character that SQL gives a meaning.
_WORDS = {"gbk": "誠乗璡鰘", "big5": "許功蓋十", "sjis": "表能ソー"}

_STATEMENTS = (
    "UPDATE t_user SET name = '{0}' WHERE user_id = 3",
    "UPDATE t_user SET name = 'a''{1}\"\\'' WHERE user_id IN (4, 5)",
    "SELECT user_id, name, HEX(name) FROM t_user WHERE name = '{0}'",
    "SELECT user_id, name FROM t_user WHERE name LIKE '%{1}%' ORDER BY name, user_id",
    "SELECT name, COUNT(*) FROM t_user WHERE user_id BETWEEN 3 AND 5 GROUP BY name ORDER BY name",
    "SELECT '{0}', HEX('{0}'), CHARSET('{0}'), COLLATION('{0}') /* {1} */",
    "SELECT 'x' AS `{0}`",
    "SELECT @@character_set_client, @@SESSION.character_set_client, @@character_set_results",
    "SET @x = '{0}', @y = (SELECT name FROM t_user WHERE user_id = 4)",
    "SELECT @x, HEX(@x), @y",
    "SELECT user_id FROM t_user WHERE name = @x",
    "SELECT u.user_id, c.name FROM t_user AS u JOIN t_user AS c ON u.name = c.name WHERE u.name = '{0}'",
    "SELECT nothing FROM t_user WHERE name = '{0}'",
)


@pytest.mark.parametrize("charset", _WORDS)
def test_statements_answer_as_one_server_does(fresh_shop: Shop, charset: str) -> None:
    words = _WORDS[charset]
    statements = [statement.format(words, words[0]) for statement in _STATEMENTS]
    with (
        fresh_shop.target.connect(charset=charset) as mesh,
        fresh_shop.plain.connect(charset=charset) as plain,
    ):
        for statement in statements:
            assert ask(mesh, statement).as_bag() == ask(plain, statement).as_bag(), statement
        for connection in (mesh, plain):
            ask(connection, "SET NAMES utf8mb4")
            connection.encoding = "utf8"
        last = "SELECT user_id, name FROM t_user WHERE user_id BETWEEN 3 AND 5 ORDER BY user_id"
        assert ask(mesh, last) == ask(plain, last)


def _prepared(target: Target, charset: str, words: str) -> list[Any]:
    connection = mysql.connector.connect(
        host=target.host,
        port=target.port,
        user=target.user,
        password=target.password,
        database="shop",
        charset=charset,
        autocommit=True,
        use_pure=True,
    )
    try:
        cursor = connection.cursor(prepared=True)
        cursor.execute("UPDATE t_user SET name = ? WHERE user_id IN (?, ?)", (words, 3, 4))
        cursor.execute("SELECT user_id, HEX(name), ? FROM t_user WHERE name = ?", (words[0], words))
        return sorted(cursor.fetchall())
    finally:
        connection.close()


@pytest.mark.parametrize("charset", _WORDS)
def test_bound_values_are_read_in_it(fresh_shop: Shop, charset: str) -> None:
    words = _WORDS[charset]
    found = _prepared(fresh_shop.target, charset, words)
    assert found == _prepared(fresh_shop.plain, charset, words)
    assert [row[0] for row in found] == [3, 4]


@pytest.mark.parametrize(
    ("charset", "statement"),
    [
        ("gbk", "SELECT _binary'誠'"),
        ("gbk", "SELECT N'誠'"),
        ("gbk", "SELECT '\\誠'"),
        ("big5", "SELECT 'ˍ'"),
        ("sjis", "SELECT '\\\\'"),
    ],
)
def test_what_servers_would_convert_otherwise_is_refused(shop: Shop, charset: str, statement: str) -> None:
    if not shop.meshed:
        pytest.skip("a server takes it")
    with shop.target.connect(charset=charset) as mesh:
        assert ask(mesh, statement).error == 1235
