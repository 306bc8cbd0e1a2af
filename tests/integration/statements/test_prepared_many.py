"""Prepared statements over several data nodes: every value bit for bit as one server sends it in binary rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.differential.client import Answer, Client, Prepared
from tests.differential.values import NULL, Value, date, datetime, decimal, double, integer, text, time
from tests.plugins.database_server import chosen_product
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


UNSIGNED_3 = Value("3", 0x8008, (3).to_bytes(8, "little"))
ZERO_DATE = Value("'0000-00-00'", 0x0A, b"\0")

WRITES: list[tuple[str, tuple[Value, ...]]] = [
    ("INSERT INTO t_auto (id, word) SELECT id + 100, fixed FROM t_types WHERE ?", (time("10:00:00"),)),
    ("INSERT INTO t_auto (id, n) SELECT id, ? FROM t_types", (date("2023-01-31"),)),
    ("INSERT INTO t_auto (id, n) SELECT id, moment FROM t_types WHERE ? + id < 5", (integer(1),)),
    ("INSERT INTO t_types (id, d, f, number, big) SELECT id + 100, d / 7, f / 7, flag, clock FROM t_types", ()),
    ("INSERT INTO t_types (id, d) SELECT 101, STDDEV_SAMP(d / ?) FROM t_types", (integer(7),)),
    ("UPDATE t_types x JOIN t_user y ON x.id = y.user_id SET x.d = x.f / 7, x.number = y.born WHERE x.id < ?", (integer(30),)),
    ("UPDATE t_types SET id = id + 100, d = f / 7, big = day", ()),
    ("INSERT INTO t_auto (id, word) SELECT id, COALESCE(?, word) FROM t_types", (time("1:00:00.25"),)),
    ("INSERT INTO t_auto (id, n) VALUES (?, ?), (2, ?)", (integer(1), date("2023-01-31"), time("10:00:00"))),
    ("INSERT INTO t_auto (id, n, word) VALUES (1, ?, ?), (2, ?, ?)", (decimal("8"), decimal("8"), NULL, double(8))),
    ("INSERT INTO t_types (id, moment, day) VALUES (101, ?, ?), (102, ?, ?)",
     (datetime("2023-01-31 12:00:00.000005"), datetime("2023-01-31 00:00:00"), date("2023-01-31"), text("2023-02-01"))),
    ("INSERT INTO t_country (code, name) VALUES ('XX', ?)", (datetime("2023-01-31 12:00:00.5"),)),
    ("INSERT INTO t_country (code, name) VALUES ('XX', ?), ('YY', ?)", (time("-1:00:00"), date("2023-01-31"))),
    ("UPDATE t_types SET number = ?, word = 'x' WHERE id > 3", (date("2023-01-31"),)),
    ("UPDATE t_types SET number = ? WHERE COALESCE(day, ?) = ?", (integer(1), date("2023-01-31"), time("10:00:00"))),
    ("UPDATE t_types SET number = ? - 1 WHERE id > 3", (UNSIGNED_3,)),
    ("UPDATE t_types SET number = ? - 5 WHERE id > 3", (UNSIGNED_3,)),
    ("UPDATE t_types SET number = 0, id = id + 100 WHERE day < ? AND moment < ?", (date("2010-01-31"), date("2023-01-31"))),
    ("DELETE FROM t_types WHERE clock < ? ORDER BY id LIMIT 5", (time("-100:00:00"),)),
    ("DELETE FROM t_types WHERE JSON_VALUE(doc, '$.a') = ?", (integer(1),)),
    ("DELETE FROM t_types WHERE JSON_VALUE(doc, '$.a') <> ? LIMIT 1000", (integer(1),)),
    ("INSERT INTO t_auto (id, n) VALUES (1, ?), (2, 2), (1, 3) ON DUPLICATE KEY UPDATE n = VALUES(n)", (integer(1),)),
    ("INSERT INTO t_country (code, name) VALUES ('XX', 'x'), ('YY', ?) ON DUPLICATE KEY UPDATE name = VALUES(name)", (text("y"),)),
    ("INSERT INTO t_auto (id, word) SELECT id, JSON_VALUE(doc, '$.a') FROM t_types WHERE id > ?", (integer(1),)),
    ("INSERT INTO t_auto (id, n) SELECT id + ?, ? FROM t_types WHERE id < ? ORDER BY id LIMIT ?",
     (UNSIGNED_3, UNSIGNED_3, UNSIGNED_3, UNSIGNED_3)),
    ("INSERT INTO t_auto (id, n) VALUES (?, ?), (2, ?)", (UNSIGNED_3, UNSIGNED_3, UNSIGNED_3)),
    ("UPDATE t_types SET number = ?, id = id + 100 WHERE id <= ? AND number < ? ORDER BY id DESC LIMIT ?",
     (UNSIGNED_3, UNSIGNED_3, UNSIGNED_3, UNSIGNED_3)),
    ("DELETE FROM t_types WHERE moment >= ? AND number <> 7", (datetime("1999-12-31 23:59:10.000000"),)),
]  # fmt: skip

ZERO_DATES: list[tuple[str, tuple[Value, ...]]] = [
    ("INSERT INTO t_auto (id, n, word) VALUES (1, ?, ?), (2, ?, ?)", (ZERO_DATE, ZERO_DATE, date("2024-00-00"), date("2024-00-00"))),
    ("INSERT INTO t_auto (id, n) SELECT id + ?, ? + 0 FROM t_types WHERE id < ? ORDER BY id LIMIT ?",
     (UNSIGNED_3, date("2024-00-00"), UNSIGNED_3, UNSIGNED_3)),
]  # fmt: skip
"""MySQL's own sql_mode lets none of them be a literal."""

UNSIGNED: list[tuple[str, int]] = [
    ("INSERT INTO t_auto (id, n) VALUES (1, ? - 5), (2, 2)", 1),
    ("INSERT INTO t_auto (id, n) SELECT id, ? - 5 FROM t_types", 1),
    ("UPDATE t_types SET id = id + 100, number = ? - 5 WHERE id > ?", 2),
    ("SET @x = ? - 5", 1),
]

RETURNING: list[tuple[str, tuple[Value, ...]]] = [
    ("INSERT INTO t_types (id, f, d) VALUES (101, 4096.125, 0.1), (102, ?, ?) RETURNING id, f, d", (double(1e20 / 3), NULL)),
    ("INSERT INTO t_types (id, f) VALUES (101, 4096.125), (102, 0.1) RETURNING id, f", ()),
    ("INSERT INTO t_auto (id, word) VALUES (1, ?) RETURNING word, id + 0.1e0", (date("2023-01-31"),)),
    ("DELETE FROM t_types WHERE id > 5 AND f * 1000 > ? RETURNING f, id, d, moment, clock", (integer(1),)),
    ("DELETE FROM t_types ORDER BY id LIMIT 9 RETURNING f / 3, f, id, day", ()),
    ("REPLACE INTO t_types (id, f, d) SELECT id, f / 7, d / 7 FROM t_types ORDER BY id LIMIT 9 RETURNING id, f, d", ()),
]  # fmt: skip


CURSORS = [
    "SELECT COUNT(*), AVG(number), SUM(big), MIN(word) FROM t_types",
    "SELECT id, number + 1, flag FROM t_types ORDER BY id",
    "SELECT DISTINCT id + 1 FROM t_types ORDER BY 1",
    "SELECT a.id, b.id + 1 x FROM t_types a JOIN t_types b ON a.id = b.id + 1 ORDER BY a.id",
    "SELECT LAST_INSERT_ID(), @@autocommit",
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


MEANINGS = [
    "SET sql_mode = 'ANSI_QUOTES'",
    "SET sql_mode = 'PIPES_AS_CONCAT'",
    "SET sql_mode = 'HIGH_NOT_PRECEDENCE'",
    "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
    "SET div_precision_increment = 8",
]


@pytest.mark.parametrize(
    "sql",
    [
        """SELECT "name", name || name, NOT 1 BETWEEN -5 AND 5, 'a' = 'A', 1 / 3 FROM t_user WHERE user_id = ?""",
        """SELECT "name", name || name, NOT 1 BETWEEN -5 AND 5, 'a' = 'A', 1 / 3 FROM t_user WHERE user_id > ? ORDER BY user_id""",
    ],
)
def test_a_text_means_what_it_does_to_the_session_that_executes_it(shop: Shop, sql: str) -> None:
    """Sessions share connections, and what is prepared there."""
    for setting in (*MEANINGS, "SET @a = 1", *MEANINGS):
        answers = []
        for target in (shop.target, shop.plain):
            with _client(target) as client:
                client.ask(setting)
                prepared = client.prepare_statement(sql)
                assert isinstance(prepared, Prepared)
                answers.append(client.run(prepared, [integer(1)]))
        mesh, plain = answers
        assert mesh.rows == plain.rows, setting


@pytest.mark.parametrize("sql", CURSORS)
def test_a_cursor_tells_what_one_servers_does(clients: tuple[Client, Client], sql: str) -> None:
    answers: list[Answer] = []
    for client in clients:
        prepared = client.prepare_statement(sql)
        assert isinstance(prepared, Prepared)
        answers.append(client.run(prepared, (), cursor=True))
        client.close_statement(prepared)
    mesh, plain = answers
    assert mesh.rows == plain.rows
    if chosen_product() != "MySQL":
        assert [column.flags for column in mesh.definitions()] == [
            column.flags for column in plain.definitions()
        ]


@pytest.mark.parametrize(
    ("sql", "values"),
    WRITES + (RETURNING + ZERO_DATES if chosen_product() != "MySQL" else []),
    ids=lambda part: str(part)[:60],
)
def test_values_keep_their_types_in_writes(
    clients: tuple[Client, Client], sql: str, values: Sequence[Value]
) -> None:
    told = []
    for client in clients:
        client.ask("BEGIN")
        prepared = client.prepare_statement(sql)
        assert isinstance(prepared, Prepared)
        answer = client.run(prepared, values)
        stored = [
            sorted(client.ask(f"SELECT * FROM {name}").rows) for name in ("t_types", "t_auto", "t_country")
        ]
        client.ask("ROLLBACK")
        client.close_statement(prepared)
        told.append((answer.error, sorted(answer.rows), answer.affected, answer.info, stored))
    mesh, plain = told
    assert mesh == plain


@pytest.mark.parametrize(("sql", "count"), UNSIGNED)
def test_an_unsigned_value_stays_unsigned_where_it_is_written_into_text(
    clients: tuple[Client, Client], sql: str, count: int
) -> None:
    for client in clients:
        prepared = client.prepare_statement(sql)
        assert isinstance(prepared, Prepared)
        error = client.run(prepared, (UNSIGNED_3,) * count).error
        # 3 - 5 is no unsigned number.
        assert error is not None
        assert error[:2] == (1690, "22003")
        client.close_statement(prepared)
