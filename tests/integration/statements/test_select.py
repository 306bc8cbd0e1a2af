"""SELECT through the mesh equals SELECT on one server: rows, order, columns, types, warnings, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.statements.conftest import Twins

pytestmark = pytest.mark.integration

ONE_SHARD = """
SELECT user_id FROM t_user WHERE user_id = 3 LIMIT 5 ROWS EXAMINED 100
SELECT name FROM t_config ORDER BY name LIMIT 1, 2 ROWS EXAMINED 100
SELECT name, COUNT(*) FROM t_config GROUP BY name DESC
SELECT * FROM t_user WHERE user_id = 7
SELECT * FROM t_user WHERE user_id = '7'
SELECT * FROM t_user WHERE 7 = user_id
SELECT * FROM t_user WHERE user_id = 7 AND user_id = 8
SELECT * FROM t_user WHERE user_id IN (7)
SELECT u.* FROM t_user u WHERE u.user_id = 7
SELECT t_user.name AS who FROM t_user WHERE t_user.user_id = 9
SELECT shop.t_user.name FROM shop.t_user WHERE user_id = 9
SELECT `name`, `email` FROM `t_user` AS `x` WHERE `x`.`user_id` = 3
SELECT * FROM t_order WHERE order_id = 12 AND user_id = 25
SELECT o.order_id, i.product FROM t_order o JOIN t_order_item i ON o.order_id = i.order_id AND o.user_id = i.user_id WHERE o.order_id = 12 AND o.user_id = 25 ORDER BY i.item_id
SELECT status, COUNT(*) n FROM t_order WHERE order_id = 12 AND user_id = 25 GROUP BY status WITH ROLLUP
SELECT (SELECT MAX(amount) FROM t_order WHERE order_id = 12 AND user_id = 25) m
SELECT * FROM t_config ORDER BY name
SELECT COUNT(*) FROM t_config
SELECT value FROM t_config WHERE name = 'theme'
SELECT * FROM t_country ORDER BY code
SELECT continent, COUNT(*) FROM t_country GROUP BY continent ORDER BY continent
SELECT name FROM t_country WHERE code = 'de'
SELECT 1
SELECT 1 + 1 AS two, 'text' AS word, NULL AS nothing, 1.50 AS money, 1e0 AS d
SELECT 'a''b', "c\\"d", 0x41, b'1'
SELECT DATABASE()
SELECT * FROM t_user WHERE user_id = 7 FOR UPDATE
SELECT /* a comment */ name FROM t_user WHERE user_id = 7 -- the end
"""

MANY_SHARDS = """
SELECT * FROM t_user
SELECT * FROM t_order
SELECT user_id, name FROM t_user WHERE name LIKE 'user 0%'
SELECT user_id FROM t_user WHERE user_id IN (1, 2, 3, 4, 5, 999)
SELECT user_id FROM t_user WHERE user_id IN (1, '2', 3.0)
SELECT user_id FROM t_user WHERE user_id IN (1, 1 + 1, LENGTH('abc'))
SELECT user_id FROM t_user WHERE user_id IN (4, balance, 5)
SELECT user_id FROM t_user WHERE user_id BETWEEN 10 AND 20
SELECT user_id FROM t_user WHERE user_id > 50 AND user_id <= 55
SELECT user_id FROM t_user WHERE user_id = 1 OR user_id = 2
SELECT user_id FROM t_user WHERE user_id = 1 OR name = 'user 05'
SELECT user_id FROM t_user WHERE NOT user_id = 1
SELECT user_id FROM t_user WHERE user_id <> 1
SELECT user_id FROM t_user WHERE user_id + 0 = 5
SELECT user_id FROM t_user WHERE user_id IS NULL
SELECT user_id FROM t_user WHERE email IS NULL
SELECT user_id FROM t_user WHERE country = 'DE' AND balance > 0
SELECT user_id FROM t_user WHERE country <=> NULL
SELECT user_id FROM t_user WHERE born BETWEEN '1975-01-01' AND '1980-01-01'
SELECT user_id FROM t_user WHERE CASE WHEN balance > 0 THEN country = 'FR' ELSE country = 'JP' END
SELECT user_id FROM t_user WHERE user_id = 5 AND user_id = 6
SELECT user_id, UPPER(name), balance * 2, CONCAT(name, '-', country) c FROM t_user
SELECT 1 FROM t_user
SELECT user_id AS id, name AS name FROM t_user WHERE 1 = 0
SELECT * FROM t_order WHERE user_id = 8
SELECT * FROM t_order WHERE order_id = 17
SELECT * FROM t_order WHERE order_id IN (1, 2, 3) AND user_id IN (8, 15)
"""

ORDERED = """
SELECT user_id, name FROM t_user ORDER BY user_id
SELECT user_id, name FROM t_user ORDER BY user_id DESC
SELECT user_id, name FROM t_user ORDER BY name, user_id
SELECT name FROM t_user ORDER BY user_id
SELECT user_id, email FROM t_user ORDER BY email, user_id
SELECT user_id, email FROM t_user ORDER BY email DESC, user_id DESC
SELECT user_id, balance FROM t_user ORDER BY balance DESC, 1
SELECT user_id, balance b FROM t_user ORDER BY b, user_id
SELECT user_id, born FROM t_user ORDER BY 2, 1
SELECT user_id, created FROM t_user ORDER BY created DESC
SELECT order_id, note FROM t_order ORDER BY note, order_id
SELECT order_id, status FROM t_order ORDER BY status, order_id
SELECT order_id, qty FROM t_order ORDER BY qty DESC, order_id LIMIT 20
SELECT order_id FROM t_order ORDER BY amount * qty, order_id
SELECT order_id FROM t_order ORDER BY LENGTH(note) DESC, order_id
SELECT * FROM t_order ORDER BY order_id LIMIT 10
SELECT * FROM t_order ORDER BY order_id LIMIT 10 OFFSET 100
SELECT * FROM t_order ORDER BY order_id LIMIT 100, 10
SELECT * FROM t_order ORDER BY order_id LIMIT 235, 100
SELECT * FROM t_order ORDER BY order_id LIMIT 0
SELECT * FROM t_order ORDER BY order_id LIMIT 1000, 5
SELECT order_id FROM t_order WHERE user_id = 8 ORDER BY order_id LIMIT 2, 2
SELECT DISTINCT status FROM t_order ORDER BY status
SELECT DISTINCT status, qty FROM t_order ORDER BY qty, status LIMIT 7
SELECT id, fixed FROM t_types ORDER BY fixed, id
SELECT id, word FROM t_types ORDER BY word DESC, id
SELECT id, exact FROM t_types ORDER BY exact, id
SELECT id, latin FROM t_types ORDER BY latin, id
SELECT id, kind FROM t_types ORDER BY kind, id
SELECT id, tags FROM t_types ORDER BY tags, id
SELECT id, ubig FROM t_types ORDER BY ubig DESC, id
SELECT id, big FROM t_types ORDER BY big, id
SELECT id, money FROM t_types ORDER BY money, id
SELECT id, d FROM t_types ORDER BY d, id
SELECT id, f FROM t_types ORDER BY f DESC, id
SELECT COUNT(DISTINCT f) FROM t_types
SELECT COALESCE(SUM(f), 0) FROM t_types
SELECT COALESCE(SUM(amount), 0) AS total FROM t_order WHERE status = 'nothing'
SELECT EXISTS (SELECT 1 FROM t_order WHERE status = 'NEW') AS found
SELECT EXISTS (SELECT 1 FROM t_order WHERE status = 'nothing') AS found
SELECT order_id FROM t_order o WHERE NOT EXISTS (SELECT 1 FROM t_order_item i WHERE i.order_id = o.order_id AND i.user_id = o.user_id)
SELECT COUNT(*) FROM t_order WHERE (order_id, user_id) IN (SELECT order_id, user_id FROM t_order_item WHERE price > 40)
SELECT DISTINCT i.item_id, LENGTH(TRIM(o.note)) AS n FROM t_order o JOIN t_order_item i ON o.order_id = i.order_id AND o.user_id = i.user_id ORDER BY n, i.item_id LIMIT 12
SELECT * FROM t_order WHERE order_id = -1
SELECT id, clock FROM t_types ORDER BY clock, id
SELECT id, moment FROM t_types ORDER BY moment DESC, id
SELECT id, day FROM t_types ORDER BY day, id
SELECT id, y FROM t_types ORDER BY y DESC, id
SELECT id, flag FROM t_types ORDER BY flag, id
SELECT id, bin FROM t_types ORDER BY bin DESC, id
SELECT id, data FROM t_types ORDER BY data, id
SELECT id, body FROM t_types ORDER BY body, id
SELECT id, tiny, utiny FROM t_types ORDER BY tiny DESC, utiny, id
SELECT * FROM t_types ORDER BY id
"""

AGGREGATES = """
SELECT country, COUNT(*) FROM t_user GROUP BY country DESC
SELECT country, born, SUM(balance) FROM t_user GROUP BY country DESC, born ASC HAVING COUNT(*) > 1
SELECT country FROM t_user GROUP BY country DESC LIMIT 2
SELECT COUNT(*) FROM t_order
SELECT COUNT(*) AS n, COUNT(note), COUNT(qty) FROM t_order
SELECT SUM(amount), SUM(qty), SUM(amount * qty) FROM t_order
SELECT AVG(amount), AVG(qty) FROM t_order
SELECT MIN(amount), MAX(amount), MIN(note), MAX(note), MIN(created), MAX(created) FROM t_order
SELECT MIN(word), MAX(word), MIN(exact), MAX(exact), MIN(kind), MAX(ubig), MIN(big), MAX(clock) FROM t_types
SELECT SUM(money), AVG(money), SUM(d), AVG(f), SUM(ubig), SUM(big) FROM t_types
SELECT COUNT(*), SUM(amount), AVG(amount), MIN(amount) FROM t_order WHERE 1 = 0
SELECT COUNT(*) FROM t_order WHERE user_id = 8 AND order_id = 1 AND order_id = 2
SELECT COUNT(DISTINCT status) FROM t_order
SELECT COUNT(DISTINCT user_id), COUNT(*) FROM t_order
SELECT SUM(DISTINCT qty), AVG(DISTINCT qty) FROM t_order
SELECT status, COUNT(*) FROM t_order GROUP BY status
SELECT status, COUNT(*) FROM t_order GROUP BY status ORDER BY status
SELECT status, COUNT(*) AS n FROM t_order GROUP BY status ORDER BY n DESC, status
SELECT status, SUM(amount) s FROM t_order GROUP BY status ORDER BY s
SELECT status, qty, COUNT(*), AVG(amount) FROM t_order GROUP BY status, qty ORDER BY status, qty
SELECT qty, COUNT(*) FROM t_order GROUP BY qty ORDER BY qty DESC
SELECT qty, COUNT(*) FROM t_order GROUP BY qty ORDER BY COUNT(*), qty LIMIT 3
SELECT user_id, COUNT(*) n FROM t_order GROUP BY user_id HAVING n > 4 ORDER BY user_id
SELECT user_id, COUNT(*) n FROM t_order GROUP BY user_id HAVING COUNT(*) = 4 ORDER BY user_id LIMIT 5
SELECT status, MAX(amount) FROM t_order GROUP BY status HAVING MAX(amount) > 49 ORDER BY status
SELECT user_id, SUM(amount) FROM t_order GROUP BY user_id ORDER BY SUM(amount) DESC, user_id LIMIT 10
SELECT user_id, SUM(amount) FROM t_order GROUP BY user_id ORDER BY user_id LIMIT 5 OFFSET 5
SELECT COUNT(*) FROM t_order GROUP BY status ORDER BY status
SELECT YEAR(born) y, COUNT(*) FROM t_user GROUP BY YEAR(born) ORDER BY y
SELECT note, COUNT(*) FROM t_order GROUP BY note ORDER BY note
SELECT country, AVG(balance), SUM(balance) FROM t_user GROUP BY country ORDER BY country
SELECT status, COUNT(DISTINCT user_id) FROM t_order GROUP BY status ORDER BY status
SELECT DISTINCT status FROM t_order
SELECT DISTINCT country FROM t_user
SELECT DISTINCT user_id, status FROM t_order WHERE user_id < 10
"""

JOINS = """
SELECT o.order_id, i.item_id, i.product FROM t_order o JOIN t_order_item i ON o.order_id = i.order_id AND o.user_id = i.user_id ORDER BY o.order_id, i.item_id
SELECT o.order_id, COUNT(i.item_id) FROM t_order o LEFT JOIN t_order_item i ON o.order_id = i.order_id AND o.user_id = i.user_id GROUP BY o.order_id ORDER BY o.order_id
SELECT o.status, SUM(i.price) FROM t_order o INNER JOIN t_order_item i USING (order_id, user_id) GROUP BY o.status ORDER BY o.status
SELECT o.order_id FROM t_order o, t_order_item i WHERE o.order_id = i.order_id AND o.user_id = i.user_id AND i.product = 'apple' ORDER BY o.order_id, i.item_id
SELECT u.user_id, c.name FROM t_user u JOIN t_country c ON u.country = c.code ORDER BY u.user_id
SELECT u.user_id, c.name FROM t_user u LEFT JOIN t_country c ON u.country = c.code ORDER BY u.user_id
SELECT c.continent, COUNT(*) FROM t_user u JOIN t_country c ON u.country = c.code GROUP BY c.continent ORDER BY c.continent
SELECT o.*, i.* FROM t_order o JOIN t_order_item i ON o.order_id = i.order_id AND o.user_id = i.user_id WHERE o.user_id = 15 ORDER BY o.order_id, i.item_id
SELECT c1.code, c2.code FROM t_country c1 JOIN t_country c2 ON c1.continent = c2.continent ORDER BY c1.code, c2.code
SELECT g.name, c.name FROM t_config g, t_country c ORDER BY g.name, c.name
SELECT t_order.order_id, t_order_item.product FROM t_order JOIN t_order_item ON t_order.order_id = t_order_item.order_id AND t_order.user_id = t_order_item.user_id WHERE t_order.user_id = 22 ORDER BY t_order.order_id, t_order_item.item_id
"""

ERRORS = """
SELECT no_such_column FROM t_user WHERE user_id = 1
SELECT no_such_column FROM t_user
SELECT * FROM no_such_table
SELECT name, no_such_function(name) FROM t_user WHERE user_id = 1
SELECT user_id FROM t_user u JOIN t_user v ON u.user_id = v.user_id WHERE u.user_id = 1 AND v.user_id = 1
SELEKT 1
SELECT FROM
SELECT * FROM t_user WHERE user_id = 'abc
SELECT 1 +
"""


def _cases(**groups: str) -> list[object]:
    return [
        pytest.param(line, id=f"{name}-{number}")
        for name, text in groups.items()
        for number, line in enumerate(text.strip().splitlines(), 1)
    ]


@pytest.mark.parametrize(
    "statement",
    _cases(
        one_shard=ONE_SHARD,
        many_shards=MANY_SHARDS,
        ordered=ORDERED,
        aggregates=AGGREGATES,
        joins=JOINS,
        errors=ERRORS,
    ),
)
def test_equals_one_server(twins: Twins, statement: str) -> None:
    twins.same(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT order_id FROM t_order LIMIT 5",
        "SELECT order_id FROM t_order LIMIT 230, 100",
        "SELECT order_id FROM t_order WHERE amount > 10 LIMIT 7 OFFSET 2",
    ],
)
def test_a_limit_without_order_returns_as_many_rows_of_the_right_ones(twins: Twins, statement: str) -> None:
    from tests.plugins.equivalence import ask

    mesh, plain = ask(twins.mesh, statement), ask(twins.plain, statement)
    everything = ask(twins.plain, statement.partition(" LIMIT ")[0])
    assert len(mesh.rows) == len(plain.rows)
    assert len(set(mesh.rows)) == len(mesh.rows)
    assert set(mesh.rows) <= set(everything.rows)
    assert mesh.columns == plain.columns
