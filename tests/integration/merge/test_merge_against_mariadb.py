"""The merge of three tables answers as one table with all their rows does, on a real server."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pymysql
import pytest

from dbmesh.errors import MeshError
from dbmesh.merge.aggregates import AggregateFunction as F
from dbmesh.merge.having import HavingOperator
from dbmesh.merge.numbers import average_text, double_text
from dbmesh.merge.padding import make_weight_key, space_weight
from dbmesh.merge.rows import make_row_merger
from dbmesh.planner.plan import Aggregate, Having, RowMerge, SortKey
from dbmesh.wire.packets import ColumnDefinition, parse_column_definition
from tests.plugins.database_server import chosen_product
from tests.plugins.merging import LIMITS, drive, values

pytestmark = pytest.mark.integration

SHARDS = 3
TEXTS = {
    "general": "utf8mb4_general_ci",
    "unicode": "utf8mb4_unicode_ci",
    "bin": "utf8mb4_bin",
    "latin": "latin1_swedish_ci",
    # Both have a binary collation without padding and a newer Unicode one, by names of their own.
    **(
        {"nopad": "utf8mb4_0900_bin", "uca": "utf8mb4_0900_ai_ci"}
        if chosen_product() == "MySQL"
        else {"nopad": "utf8mb4_nopad_bin", "uca": "utf8mb4_uca1400_ai_ci"}
    ),
}
PLAIN = {
    "i": "int",
    "u": "bigint unsigned",
    "d": "decimal(12,5)",
    "f": "double",
    "t": "time(2)",
    "dt": "datetime(3)",
    "da": "date",
    "bi": "bit(10)",
    "vb": "varbinary(8)",
    "y": "year",
}
COLUMNS = {name: f"varchar(12) collate {collation}" for name, collation in TEXTS.items()} | PLAIN


def random_row(chance: random.Random, number: int) -> tuple[object, ...]:
    def text() -> str:
        return "".join(chance.choices(["a", "A", "b", " ", "\t", "é", "z", "ß"], k=chance.randint(0, 4)))

    row: list[object] = [text() for _ in TEXTS]
    row += [
        chance.randint(-3, 3),
        chance.choice([0, 1, 2**63, 2**64 - 1, chance.randint(0, 2**64 - 1)]),
        f"{chance.randint(-99999, 99999)}.{chance.randint(0, 99999):05d}",
        chance.choice([0.1, -2.5, 1e20, 1.5e-7, chance.uniform(-1e3, 1e3)]),
        f"{chance.choice(['', '-'])}{chance.randint(0, 200)}:{chance.randint(0, 59)}:00.{chance.randint(0, 99):02d}",
        f"20{chance.randint(10, 20)}-01-0{chance.randint(1, 9)} 10:00:00.{chance.randint(0, 999):03d}",
        chance.choice(["0000-00-00", "1999-12-31", "2024-02-29"]),
        chance.randint(0, 1023),
        bytes(chance.choices([0, 1, 97, 255], k=chance.randint(0, 3))),
        chance.choice([0, 1970, 2024]),
    ]
    return (number, *(None if chance.random() < 0.08 else value for value in row))


@pytest.fixture(scope="module")
def connection(database_server: Callable[..., list[Any]]) -> Iterator[pymysql.Connection[Any]]:
    server = database_server("merge")[0]
    server.wait_ready()
    connected = pymysql.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        charset="utf8mb4",
        autocommit=True,
    )
    chance = random.Random(7)
    rows = [random_row(chance, number) for number in range(400)]
    with connected.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute("CREATE DATABASE merging")
        connected.select_db("merging")
        definitions = ", ".join(f"`{name}` {kind}" for name, kind in COLUMNS.items())
        places = ", ".join(["%s"] * (len(COLUMNS) + 1))
        for table in ("whole", *(f"part_{shard}" for shard in range(SHARDS))):
            cursor.execute(f"CREATE TABLE {table} (id bigint primary key, {definitions}) charset utf8mb4")
        for row in rows:
            for table in ("whole", f"part_{row[0] % SHARDS}"):  # type: ignore[operator]
                cursor.execute(f"INSERT INTO {table} VALUES ({places})", row)
    yield connected
    connected.close()


Answer = tuple[list[ColumnDefinition], list[bytes]]


def ask(connection: pymysql.Connection[Any], sql: str) -> Answer:
    """Column definitions and row payloads of one statement."""
    connection._execute_command(3, sql)
    count = connection._read_packet().get_all_data()[0]
    columns = [parse_column_definition(connection._read_packet().get_all_data()) for _ in range(count)]
    connection._read_packet()
    rows: list[bytes] = []
    while not (packet := connection._read_packet()).is_eof_packet():
        rows.append(packet.get_all_data())
    return columns, rows


def merged(
    connection: pymysql.Connection[Any], sql: str, merge: RowMerge, seed: int = 1
) -> list[tuple[Any, ...]]:
    answers = [ask(connection, sql.format(t=f"part_{shard}")) for shard in range(SHARDS)]
    merger = make_row_merger(merge, answers[0][0], SHARDS, LIMITS)
    return values(drive(merger, [rows for _, rows in answers], seed))


def whole(connection: pymysql.Connection[Any], sql: str) -> list[tuple[Any, ...]]:
    return values(ask(connection, sql.format(t="whole"))[1])


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("name", [name for name in PLAIN if name not in ("bi", "vb")])
def test_order_by_plain_column(connection: Any, name: str, direction: str) -> None:
    key = SortKey(1, descending=direction == "DESC")
    merge = RowMerge(order_by=(key, SortKey(0, descending=True)), offset=7, limit=350)
    order = f"ORDER BY `{name}` {direction}, id DESC"
    expected = whole(connection, f"SELECT id, `{name}` FROM {{t}} {order} LIMIT 350 OFFSET 7")
    assert merged(connection, f"SELECT id, `{name}` FROM {{t}} {order} LIMIT 357", merge) == expected


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("name", ["bi", "vb"])
def test_order_by_bytes(connection: Any, name: str, direction: str) -> None:
    merge = RowMerge(hidden=1, order_by=(SortKey(-1, descending=direction == "DESC"), SortKey(0)))
    order = f"ORDER BY `{name}` {direction}, id"
    expected = whole(connection, f"SELECT id, HEX(`{name}`) FROM {{t}} {order}")
    answers = [
        ask(connection, f"SELECT id, HEX(`{name}`), `{name}` FROM part_{shard} {order}")
        for shard in range(SHARDS)
    ]
    merger = make_row_merger(merge, answers[0][0], SHARDS, LIMITS)
    assert values(drive(merger, [rows for _, rows in answers])) == expected


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("name", TEXTS)
def test_order_by_text(connection: Any, name: str, direction: str) -> None:
    descending = direction == "DESC"
    merge = RowMerge(
        hidden=1, order_by=(SortKey(1, weight=-1, collation=TEXTS[name], descending=descending), SortKey(0))
    )
    order = f"ORDER BY `{name}` {direction}, id"
    expected = whole(connection, f"SELECT id, `{name}` FROM {{t}} {order}")
    sql = f"SELECT id, `{name}`, WEIGHT_STRING(`{name}`) FROM {{t}} {order}"
    assert merged(connection, sql, merge) == expected


@pytest.mark.parametrize(
    "expression", ["LOWER(general)", "CONCAT(latin, bin)", "DATE_FORMAT(dt, '%Y %m')", "LEFT(nopad, 1)"]
)
def test_order_by_expression_whose_collation_the_server_tells(connection: Any, expression: str) -> None:
    merge = RowMerge(hidden=1, order_by=(SortKey(1, weight=-1, descending=True), SortKey(0)))
    order = f"ORDER BY {expression} DESC, id"
    expected = whole(connection, f"SELECT id, {expression} FROM {{t}} {order}")
    described = f"CONCAT(CAST(COLLATION({expression}) AS BINARY), ':', WEIGHT_STRING({expression}))"
    assert merged(connection, f"SELECT id, {expression}, {described} FROM {{t}} {order}", merge) == expected


@pytest.mark.parametrize("name", TEXTS)
def test_group_by_text(connection: Any, name: str) -> None:
    merge = RowMerge(
        hidden=1,
        grouped=True,
        group_by=(SortKey(0, weight=-1, collation=TEXTS[name]),),
        aggregates=(Aggregate(1, F.COUNT), Aggregate(2, F.SUM)),
    )
    sql = f"SELECT `{name}`, COUNT(*), SUM(id), WEIGHT_STRING(`{name}`) FROM {{t}} GROUP BY `{name}` ORDER BY `{name}`"
    expected = whole(connection, sql)
    assert [row[1:] for row in merged(connection, sql, merge)] == [row[1:3] for row in expected]


@pytest.mark.parametrize("name", TEXTS)
def test_distinct_text(connection: Any, name: str) -> None:
    key = SortKey(0, weight=-1, collation=TEXTS[name])
    sql = f"SELECT `{name}`, WEIGHT_STRING(`{name}`) FROM {{t}} GROUP BY `{name}` ORDER BY `{name}`"
    rows = merged(connection, sql, RowMerge(hidden=1, distinct=True, distinct_keys=(key,)))
    assert len(rows) == int(
        whole(connection, f"SELECT COUNT(DISTINCT `{name}`) + MAX(`{name}` IS NULL) FROM {{t}}")[0][0]
    )


AGGREGATES = (
    "COUNT(*), COUNT(i), SUM(i), SUM(d), MIN(d), MAX(u), MIN(t), MAX(dt), BIT_OR(u), BIT_XOR(u), BIT_AND(u)"
)
FUNCTIONS = (F.COUNT, F.COUNT, F.SUM, F.SUM, F.MIN, F.MAX, F.MIN, F.MAX, F.BIT_OR, F.BIT_XOR, F.BIT_AND)


def aggregates(first: int) -> tuple[Aggregate, ...]:
    return tuple(Aggregate(first + place, function) for place, function in enumerate(FUNCTIONS))


def test_aggregates_by_group(connection: Any) -> None:
    sql = f"SELECT i, {AGGREGATES} FROM {{t}} GROUP BY i ORDER BY i DESC"
    merge = RowMerge(grouped=True, group_by=(SortKey(0, descending=True),), aggregates=aggregates(1))
    assert merged(connection, sql, merge) == whole(connection, sql)


@pytest.mark.parametrize("where", ["1", "id < 3 AND id > 0", "0"])
def test_aggregates_of_everything(connection: Any, where: str) -> None:
    sql = f"SELECT {AGGREGATES} FROM {{t}} WHERE {where}"
    merge = RowMerge(grouped=True, aggregates=aggregates(0))
    assert merged(connection, sql, merge) == whole(connection, sql)


@pytest.mark.parametrize("argument", ["i", "d", "u", "y"])
def test_average_having_and_resort(connection: Any, argument: str) -> None:
    sql = f"SELECT i, AVG({argument}) FROM {{t}} GROUP BY i"
    having = Having(
        HavingOperator.GREATER,
        (Having(HavingOperator.COLUMN, column=1), Having(HavingOperator.VALUE, value=-1)),
    )
    merge = RowMerge(
        hidden=2,
        grouped=True,
        group_by=(SortKey(0),),
        aggregates=(Aggregate(1, F.AVG, sum_column=-2, count_column=-1),),
        having=having,
        resort=True,
        order_by=(SortKey(1, descending=True), SortKey(0)),
        limit=5,
    )
    shard = f"SELECT i, AVG({argument}), SUM({argument}), COUNT({argument}) FROM {{t}} GROUP BY i ORDER BY i"
    expected = whole(connection, f"{sql} HAVING AVG({argument}) > -1 ORDER BY 2 DESC, i LIMIT 5")
    assert expected
    assert merged(connection, shard, merge) == expected


def test_distinct_aggregates(connection: Any) -> None:
    sql = "SELECT y, COUNT(DISTINCT i), SUM(DISTINCT i), AVG(DISTINCT i), COUNT(*), AVG(d) FROM {t} GROUP BY y ORDER BY y"
    shard = (
        "SELECT y, COUNT(DISTINCT i), SUM(DISTINCT i), AVG(DISTINCT i), COUNT(*), AVG(d), i, SUM(d), COUNT(d) "
        "FROM {t} GROUP BY y, i ORDER BY y"
    )
    argument = (SortKey(-3),)
    merge = RowMerge(
        hidden=3,
        grouped=True,
        group_by=(SortKey(0),),
        aggregates=(
            Aggregate(1, F.COUNT_DISTINCT, arguments=argument),
            Aggregate(2, F.SUM_DISTINCT, arguments=argument),
            Aggregate(3, F.AVG_DISTINCT, arguments=argument),
            Aggregate(4, F.COUNT),
            Aggregate(5, F.AVG, sum_column=-2, count_column=-1),
        ),
    )
    assert merged(connection, shard, merge) == whole(connection, sql)


@pytest.mark.parametrize("name", TEXTS)
def test_extremes_of_text_by_weight(connection: Any, name: str) -> None:
    sql = f"SELECT i, MIN(`{name}`), MAX(`{name}`) FROM {{t}} GROUP BY i ORDER BY i"
    shard = (
        f"SELECT i, MIN(`{name}`), MAX(`{name}`), WEIGHT_STRING(MIN(`{name}`)), WEIGHT_STRING(MAX(`{name}`)) "
        "FROM {t} GROUP BY i ORDER BY i"
    )
    merge = RowMerge(
        hidden=2,
        grouped=True,
        group_by=(SortKey(0),),
        aggregates=(
            Aggregate(1, F.MIN, weight=-2, collation=TEXTS[name]),
            Aggregate(2, F.MAX, weight=-1, collation=TEXTS[name]),
        ),
    )
    key = make_weight_key(TEXTS[name])

    def weights(rows: list[tuple[Any, ...]]) -> list[list[bytes | None]]:
        """Which of several equal texts is the least one is anyone's guess: compare what they weigh."""
        shown = []
        for row in rows:
            sql = ", ".join(
                f"WEIGHT_STRING(CONVERT({connection.escape(value)} USING {TEXTS[name].split('_')[0]}) COLLATE {TEXTS[name]})"
                for value in row[1:]
            )
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT {sql}")
                shown.append([None if weight is None else key(weight) for weight in cursor.fetchone()])
        return shown

    assert weights(merged(connection, shard, merge)) == weights(whole(connection, sql))


def test_averages_are_printed_as_the_server_prints_them(connection: Any) -> None:
    chance = random.Random(3)
    for decimals in range(17):
        for _ in range(5):
            count = chance.randint(1, 60)
            units = chance.randint(-(10 ** (decimals + 3)), 10 ** (decimals + 3))
            value = f"{'-' if units < 0 else ''}{abs(units) // 10**decimals}.{abs(units) % 10**decimals:0{decimals}d}"
            rest = " UNION ALL SELECT 0" * (count - 1)
            sql = f"SELECT AVG(CAST(x AS DECIMAL(30,{decimals}))) FROM (SELECT CAST('{value}' AS DECIMAL(30,{decimals})) x{rest}) t"
            columns, rows = ask(connection, sql)
            assert values(rows)[0][0] == average_text(units, decimals, count, columns[0].decimals).decode()


def test_doubles_are_printed_as_the_server_prints_them(connection: Any) -> None:
    chance = random.Random(4)
    numbers = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(200)]
    numbers += [chance.uniform(-1, 1) * 10 ** chance.randint(-18, 18) for _ in range(300)]
    numbers += [float(10**power) for power in range(20)] + [10.0**-power for power in range(20)]
    finite = [number for number in numbers if number == number and abs(number) != float("inf")]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE doubles (id int primary key, x double)")
        cursor.executemany(
            "INSERT INTO doubles VALUES (%s, %s)", [(i, repr(x)) for i, x in enumerate(finite)]
        )
    _, rows = ask(connection, "SELECT x, id FROM doubles ORDER BY id")
    for shown, place in values(rows):
        stored = float(shown or "")
        assert shown == double_text(stored, 31).decode(), finite[int(place or 0)]


def test_space_weights_are_the_servers_for_every_accepted_collation(connection: Any) -> None:
    with connection.cursor() as cursor:
        # MariaDB's table also has names that hold for several character sets, and full ones for each.
        name = "collation_name" if chosen_product() == "MySQL" else "full_collation_name"
        cursor.execute(
            f"SELECT {name}, character_set_name "
            "FROM information_schema.collation_character_set_applicability WHERE character_set_name <> 'binary'"
        )
        accepted = refused = 0
        for collation, charset in cursor.fetchall():
            try:
                space = space_weight(collation)
            except MeshError:
                refused += 1
                continue
            accepted += 1
            a, blank, both, padded = (
                f"(CONVERT('{text}' USING {charset}) COLLATE {collation})" for text in ("a", " ", "a ", "a")
            )
            cursor.execute(
                f"SELECT WEIGHT_STRING({a}), WEIGHT_STRING({blank}), WEIGHT_STRING({both}), {padded} = {both}"
            )
            weight, blank_weight, both_weight, pads = cursor.fetchone()
            assert bool(pads) == (space is not None), collation
            if space is not None:
                assert (space, weight + space) == (blank_weight, both_weight), collation
    assert accepted > (250 if chosen_product() == "MySQL" else 500)
    assert refused > 0


@pytest.mark.parametrize("name", TEXTS)
def test_keys_sort_as_the_server_sorts(connection: Any, name: str) -> None:
    _, rows = ask(
        connection, f"SELECT WEIGHT_STRING(`{name}`) FROM whole WHERE `{name}` IS NOT NULL ORDER BY `{name}`"
    )
    key = make_weight_key(TEXTS[name])
    keys = [key(row[1:]) for row in rows]
    assert all(left <= right for left, right in pairwise(keys))
