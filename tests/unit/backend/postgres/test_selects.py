"""MySQL's SELECT in PostgreSQL's words, and what is refused instead."""

from __future__ import annotations

import pytest

from dbmesh.backend.postgres.schema import PostgresTable
from dbmesh.backend.postgres.selects import Selects
from dbmesh.backend.postgres.types import COLLATION, Native
from dbmesh.backend.transpile.coerce import Stored
from dbmesh.backend.transpile.schema import Column, Index
from dbmesh.errors import MeshError, ShardError
from dbmesh.sql.parse import parse

TABLE = PostgresTable(
    "t",
    (
        Column("id", "bigint(20)", COLLATION, nullable=False),
        Column("Name", "varchar(20)", COLLATION),
        Column("n", "int(11)", COLLATION),
        Column("u", "int(10) unsigned", COLLATION),
        Column("price", "decimal(10,2)", COLLATION),
        Column("at", "datetime", COLLATION),
        Column("flag", "tinyint(1)", COLLATION),
    ),
    (Index("PRIMARY", True, ("id",)),),
    natives={"flag": Native("({}::int)", "(({}) <> 0)")},
)


class Nothing:
    """An environment without variables, whose server knows letters."""

    letters: str | None = "C.utf8"

    def variable(self, name: str, *, user: bool) -> Stored:
        return None

    def information(self, name: str) -> Stored | tuple[()]:
        return ()


def translated(sql: str, environment: Nothing | None = None) -> str:
    selects = Selects(environment or Nothing(), {"t": TABLE}, "shop")
    return selects.compile(parse(sql), None, ["x"] * 9)[0]


@pytest.mark.parametrize(
    ("mysql", "postgres"),
    [
        ("SELECT name FROM t WHERE id = 1", 'SELECT "t"."Name" AS "c0" FROM "t" AS "t" WHERE ("t"."id" = 1)'),
        (
            "SELECT id FROM t ORDER BY name",
            'SELECT "t"."id" AS "c0" FROM "t" AS "t" ORDER BY "t"."Name" COLLATE "C" NULLS FIRST',
        ),
        (
            "SELECT id FROM t ORDER BY id DESC",
            'SELECT "t"."id" AS "c0" FROM "t" AS "t" ORDER BY "t"."id" DESC',
        ),
        (
            "SELECT UNIX_TIMESTAMP(at) FROM t WHERE at = FROM_UNIXTIME(1714979289.25)",
            (
                'SELECT floor(extract(epoch FROM "t"."at"))::bigint AS "c0" FROM "t" AS "t" '
                'WHERE ("t"."at" = \'2024-05-06 07:08:09.25\'::timestamp)'
            ),
        ),
        (
            "SELECT id FROM t WHERE name = _utf8mb4 x'c3a9' AND name <> _binary x'00'",
            (
                'SELECT "t"."id" AS "c0" FROM "t" AS "t" WHERE (("t"."Name" = \'é\'::text) '
                "AND (convert_to(\"t\".\"Name\", 'UTF8') <> '\\x00'::bytea))"
            ),
        ),
        (
            "SELECT BIT_XOR(DBMESH_DIGEST(id, name)) FROM t",
            "SELECT (coalesce(bit_xor((X)::bigint), 0) + CASE WHEN coalesce(bit_xor((X)::bigint), 0) < 0 "
            'THEN 18446744073709551616 ELSE 0 END) AS "c0" FROM "t" AS "t"'.replace(
                "X", '(\'x\' || left(md5(row("t"."id", "t"."Name")::text), 16))::bit(64)::bigint'
            ),
        ),
        ("SELECT id FROM t WHERE n", 'SELECT "t"."id" AS "c0" FROM "t" AS "t" WHERE ("t"."n" <> 0)'),
        ("SELECT n = 1 FROM t", 'SELECT ("t"."n" = 1)::int AS "c0" FROM "t" AS "t"'),
        ("SELECT flag FROM t", 'SELECT ("t"."flag"::int) AS "c0" FROM "t" AS "t"'),
        ("SELECT n + 1 FROM t", 'SELECT (("t"."n")::bigint + 1::bigint) AS "c0" FROM "t" AS "t"'),
        (
            "SELECT id FROM t WHERE name > 'a' AND at < '2024-01-31'",
            (
                'SELECT "t"."id" AS "c0" FROM "t" AS "t" WHERE (("t"."Name" > \'a\'::text COLLATE "C") AND '
                '("t"."at" < \'2024-01-31 00:00:00.000000\'::timestamp))'
            ),
        ),
        (
            "SELECT id FROM t LIMIT 2, 3",
            'SELECT "t"."id" AS "c0" FROM "t" AS "t" LIMIT 3 OFFSET 2',
        ),
        (
            "SELECT id FROM t WHERE id = 1 FOR UPDATE",
            'SELECT "t"."id" AS "c0" FROM "t" AS "t" WHERE ("t"."id" = 1) FOR UPDATE',
        ),
        ("SELECT 'it''s \\\\'", "SELECT E'it''s \\\\'::text AS \"c0\""),
    ],
)
def test_translated(mysql: str, postgres: str) -> None:
    assert translated(mysql) == postgres


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM t WHERE name = 5",
        "SELECT u - 1 FROM t",
        "SELECT name REGEXP 'x' FROM t",
        "SELECT n & 1 FROM t",
        "SELECT SUM(n) OVER () FROM t",
        "SELECT GROUP_CONCAT(name) FROM t",
        "SELECT name COLLATE utf8mb4_general_ci FROM t",
        "SELECT no_such_function(n) FROM t",
        "SELECT LEFT(name, n) FROM t",
        "SELECT id FROM t WHERE at = name",
        "SELECT DISTINCT id FROM t ORDER BY n",
    ],
)
def test_refused(sql: str) -> None:
    with pytest.raises(MeshError, match="not supported"):
        translated(sql)


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("SELECT nope FROM t", 1054),
        ("SELECT id FROM nowhere", 1146),
        ("SELECT id FROM t, t", 1066),
        ("SELECT id FROM t a, t b", 1052),
        ("SELECT id FROM t WHERE at = 'never'", 1525),
        ("SELECT 'a\\0b'", 1366),
    ],
)
def test_mistakes_have_mysqls_numbers(sql: str, number: int) -> None:
    with pytest.raises(ShardError) as caught:
        translated(sql)
    assert caught.value.number == number


def test_the_case_of_letters_needs_a_collation_that_knows_it() -> None:
    assert 'upper("t"."Name" COLLATE "C.utf8")' in translated("SELECT UPPER(name) FROM t")
    environment = Nothing()
    environment.letters = None
    with pytest.raises(MeshError, match="not supported"):
        translated("SELECT UPPER(name) FROM t", environment)


def test_quotients_keep_whole_words_of_digits_until_they_are_shown() -> None:
    assert translated("SELECT 2 / 3 * 3") == (
        "SELECT round(((div((2)::numeric * 1000000000, NULLIF((3)::numeric, 0)) * 0.000000001) * 3::bigint), 4) "
        'AS "c0"'
    )
