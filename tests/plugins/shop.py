"""The shop every integration test knows: its tables, where each row belongs, its rows, its configuration.

Decides placement by itself (plain remainders), so that the tests do not believe what the product says about it.
Knows nothing of processes.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.plugins.database_server import DatabaseServer
from tests.plugins.processes import wait_until

DATABASE = "shop"
USER = "root"
PASSWORD = "root"

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """A logic table: its columns as SQL, and the (data source, actual table) pairs one row belongs to."""

    name: str
    columns: str
    nodes: tuple[tuple[int, str], ...]
    place: Callable[[Row], Sequence[tuple[int, str]]]


def _order_place(name: str) -> Callable[[Row], Sequence[tuple[int, str]]]:
    # order_id is the first column and user_id the second, in t_order and t_order_item alike.
    return lambda row: [(row[1] % 2, f"{name}_{row[0] % 2}")]


TABLES = (
    Table(
        "t_user",
        "user_id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(64) NOT NULL, email VARCHAR(120), country CHAR(2), "
        "balance DECIMAL(12,2) NOT NULL DEFAULT 0, born DATE, created DATETIME NOT NULL "
        "DEFAULT '2024-01-01 00:00:00', UNIQUE KEY uk_email (email, user_id), KEY k_country (country)",
        ((0, "t_user_0"), (1, "t_user_1"), (0, "t_user_2"), (1, "t_user_3")),
        lambda row: [(row[0] % 2, f"t_user_{row[0] % 4}")],
    ),
    Table(
        "t_order",
        "order_id BIGINT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL, status VARCHAR(16) NOT NULL, "
        "amount DECIMAL(10,2) NOT NULL, qty INT, note VARCHAR(200), created DATETIME, KEY k_user (user_id)",
        tuple((source, f"t_order_{index}") for source in (0, 1) for index in (0, 1)),
        _order_place("t_order"),
    ),
    Table(
        "t_order_item",
        "order_id BIGINT NOT NULL, user_id BIGINT NOT NULL, item_id BIGINT NOT NULL, product VARCHAR(40) NOT NULL, "
        "price DECIMAL(10,2) NOT NULL, PRIMARY KEY (order_id, item_id)",
        tuple((source, f"t_order_item_{index}") for source in (0, 1) for index in (0, 1)),
        _order_place("t_order_item"),
    ),
    Table(
        "t_country",
        "code CHAR(2) NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL, continent VARCHAR(20)",
        ((0, "t_country"), (1, "t_country")),
        lambda _row: [(0, "t_country"), (1, "t_country")],
    ),
    Table(
        "t_config",
        "name VARCHAR(40) NOT NULL PRIMARY KEY, value VARCHAR(200)",
        ((0, "t_config"),),
        lambda _row: [(0, "t_config")],
    ),
    Table(
        "t_types",
        "id BIGINT NOT NULL PRIMARY KEY, tiny TINYINT, utiny TINYINT UNSIGNED, small SMALLINT, medium MEDIUMINT, "
        "number INT, unumber INT UNSIGNED, big BIGINT, ubig BIGINT UNSIGNED, money DECIMAL(30,10), f FLOAT, d DOUBLE, "
        "flag BIT(10), day DATE, clock TIME(3), moment DATETIME(6), stamp TIMESTAMP NULL, y YEAR, "
        "fixed CHAR(10), word VARCHAR(100), bin VARBINARY(50), body TEXT, data BLOB, doc JSON, "
        "kind ENUM('small','medium','large'), tags SET('a','b','c'), "
        "latin VARCHAR(30) CHARACTER SET latin1, exact VARCHAR(30) COLLATE utf8mb4_bin",
        ((0, "t_types_0"), (1, "t_types_1"), (0, "t_types_2"), (1, "t_types_3")),
        lambda row: [(row[0] % 2, f"t_types_{row[0] % 4}")],
    ),
    Table(
        "t_auto",
        "id BIGINT NOT NULL PRIMARY KEY, word VARCHAR(40), n INT",
        ((0, "t_auto_0"), (1, "t_auto_1"), (0, "t_auto_2"), (1, "t_auto_3")),
        lambda row: [(row[0] % 2, f"t_auto_{row[0] % 4}")],
    ),
)

_COUNTRIES = (
    ("DE", "Germany", "Europe"),
    ("FR", "France", "Europe"),
    ("JP", "Japan", "Asia"),
    ("BR", "Brazil", None),
)
_STATUSES = ("NEW", "PAID", "SENT", "DONE", "paid")
_PRODUCTS = ("apple", "Banana", "cherry", "date", "Ärmel", "zebra")


def _users() -> list[Row]:
    start = datetime.date(1970, 1, 1)
    return [
        (
            n,
            f"user {n % 17:02d}",
            None if n % 9 == 0 else f"u{n}@example.org",
            None if n % 7 == 0 else _COUNTRIES[n % 4][0],
            Decimal(n * 37 % 1000) + Decimal(n % 100) / 100 - 200,
            None if n % 11 == 0 else start + datetime.timedelta(days=n * 97),
            datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=n),
        )
        for n in range(1, 61)
    ]


def _orders() -> list[Row]:
    return [
        (
            n,
            n * 7 % 60 + 1,
            _STATUSES[n % 5],
            Decimal(n * 131 % 5000) / 100,
            None if n % 13 == 0 else n % 6,
            None if n % 5 == 0 else f"note {n % 10}" + " " * (n % 3),
            datetime.datetime(2024, 1, 1) + datetime.timedelta(minutes=n * 11 % 5000),
        )
        for n in range(1, 241)
    ]


def _items() -> list[Row]:
    return [
        (order[0], order[1], item, _PRODUCTS[(order[0] + item) % 6], Decimal(order[0] * item * 17 % 900) / 10)
        for order in _orders()
        for item in range(1, order[0] % 3 + 2)
        if order[0] % 10
    ]


def _types() -> list[Row]:
    rows: list[Row] = []
    texts = ("alpha", "Alpha", "beta ", "beta", "ÄÖ", "zeta", "", "10", "9", "a b")
    for n in range(1, 41):
        if n % 10 == 0:
            rows.append((n, *[None] * 27))
            continue
        rows.append(
            (
                n,
                n % 100 - 50,
                n * 6 % 256,
                n * 801 % 65536 - 32768,
                n * 200_003 % 16_777_216 - 8_388_608,
                n * 53_687_091 % 4_294_967_296 - 2_147_483_648,
                4_294_967_295 - n,
                -(2**63) + n if n % 2 else 2**63 - n,
                2**64 - n if n % 3 else n,
                Decimal(n * 7919) / Decimal(1000) - 100,
                n * 0.25,
                # Sums of these are exact in any order of addition, as those of most doubles are not.
                (-1) ** n * n * 2.0**40 + 0.125,
                n * 25 % 1024,
                datetime.date(2000 + n % 20, n % 12 + 1, n % 28 + 1),
                datetime.timedelta(hours=n * 20 - 400, milliseconds=n),
                datetime.datetime(1999, 12, 31, 23, 59, n % 60, n * 1000),
                datetime.datetime(2020, n % 12 + 1, 1, n % 24),
                1970 + n,
                texts[n % 10],
                texts[(n + 3) % 10],
                bytes([n, 0, 255 - n]),
                texts[(n + 5) % 10] * 20,
                bytes(range(n)),
                f'{{"n": {n}, "s": "x"}}',
                ("small", "medium", "large")[n % 3],
                ("", "a", "b", "a,c")[n % 4],
                ("caf\u00e9", "noel", "zoo")[n % 3],
                texts[(n + 7) % 10],
            )
        )
    return rows


ROWS: dict[str, list[Row]] = {
    "t_user": _users(),
    "t_order": _orders(),
    "t_order_item": _items(),
    "t_country": list(_COUNTRIES),
    "t_config": [("theme", "dark"), ("limit", "10"), ("empty", None)],
    "t_types": _types(),
    "t_auto": [],
}


def shard_schema(source: int) -> str:
    """The schema of data source `ds_<source>` on its server."""
    return f"shop_ds_{source}"


def create(sources: Sequence[DatabaseServer]) -> None:
    """Makes every schema and table: actual ones on the data sources, and `shop` with whole tables beside them."""
    for source, server in enumerate(sources):
        schema = shard_schema(source)
        tables = [
            f"CREATE TABLE {actual} ({table.columns})"
            for table in TABLES
            for owner, actual in table.nodes
            if owner == source
        ]
        whole = [f"CREATE TABLE {table.name} ({table.columns})" for table in TABLES]
        server.execute(
            f"CREATE DATABASE {schema}",
            f"USE {schema}",
            *tables,
            f"CREATE DATABASE {DATABASE}",
            f"USE {DATABASE}",
            *whole,
        )


def fill(sources: Sequence[DatabaseServer]) -> None:
    """Brings every table to its rows, deleting what tests left."""
    for source, server in enumerate(sources):
        _fill(server, shard_schema(source), _shard_rows(source))
        _fill(server, DATABASE, ((table.name, ROWS[table.name]) for table in TABLES))


def _shard_rows(source: int) -> Iterable[tuple[str, list[Row]]]:
    for table in TABLES:
        for owner, actual in table.nodes:
            if owner == source:
                yield actual, [row for row in ROWS[table.name] if (source, actual) in table.place(row)]


def _fill(server: DatabaseServer, schema: str, tables: Iterable[tuple[str, list[Row]]]) -> None:
    connection = server.connect(schema, autocommit=False, init_command="SET sql_mode=''")
    try:
        with connection.cursor() as cursor:
            for table, rows in tables:
                cursor.execute(f"DELETE FROM {table}")
                if rows:
                    marks = ",".join(["%s"] * len(rows[0]))
                    cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        connection.commit()
    finally:
        connection.close()


_DATABASE_YAML = """\
databaseName: {database}
dataSources:
{sources}
rules:
- !SHARDING
  tables:
    t_order:
      actualDataNodes: ds_${{0..1}}.t_order_${{0..1}}
      tableStrategy: {{standard: {{shardingColumn: order_id, shardingAlgorithmName: t_order_inline}}}}
      keyGenerateStrategy: {{column: order_id, keyGeneratorName: snowflake}}
    t_order_item:
      actualDataNodes: ds_${{0..1}}.t_order_item_${{0..1}}
      tableStrategy: {{standard: {{shardingColumn: order_id, shardingAlgorithmName: t_order_item_inline}}}}
  autoTables:
    t_user:
      actualDataSources: ds_0,ds_1
      shardingStrategy: {{standard: {{shardingColumn: user_id, shardingAlgorithmName: mod_4}}}}
    t_types:
      actualDataSources: ds_0,ds_1
      shardingStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: mod_4}}}}
    t_auto:
      actualDataSources: ds_0,ds_1
      shardingStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: mod_4}}}}
      keyGenerateStrategy: {{column: id, keyGeneratorName: snowflake}}
  bindingTables: ["t_order,t_order_item"]
  defaultDatabaseStrategy: {{standard: {{shardingColumn: user_id, shardingAlgorithmName: database_inline}}}}
  shardingAlgorithms:
    database_inline: {{type: INLINE, props: {{algorithm-expression: "ds_${{user_id % 2}}"}}}}
    t_order_inline: {{type: INLINE, props: {{algorithm-expression: "t_order_${{order_id % 2}}"}}}}
    t_order_item_inline: {{type: INLINE, props: {{algorithm-expression: "t_order_item_${{order_id % 2}}"}}}}
    mod_4: {{type: MOD, props: {{sharding-count: 4}}}}
  keyGenerators:
    snowflake: {{type: SNOWFLAKE, props: {{worker-id: 1}}}}
- !BROADCAST
  tables: [t_country]
- !SINGLE
  tables: ["ds_0.t_config"]
"""

_SOURCE_YAML = """\
  ds_{number}:
    url: jdbc:mysql://{host}:{port}/{schema}?useSSL=false
    username: {user}
    password: {password}
    maxPoolSize: {pool}
    connectionTimeoutMilliseconds: {timeout}
"""


def source_yaml(
    number: int, server: DatabaseServer, port: int | None = None, pool: int = 50, timeout: int = 5000
) -> str:
    """One entry of `dataSources`; `port` differs from the server's when a link of the tests lies between."""
    return _SOURCE_YAML.format(
        number=number,
        host=server.host,
        port=port or server.port,
        schema=shard_schema(number),
        user=server.user,
        password=server.password,
        pool=pool,
        timeout=timeout,
    )


def global_yaml(props: dict[str, Any] | None = None, users: str = "") -> str:
    """global.yaml with the user of the tests, further `users` lines and properties."""
    lines = ["authority:", "  users:", f"  - {{user: {USER}@%, password: {PASSWORD}, admin: true}}"]
    lines += [f"  {line}" for line in users.splitlines()]
    if props:
        lines += ["props:", *(f"  {name}: {value}" for name, value in props.items())]
    return "\n".join(lines) + "\n"


def write_configuration(
    directory: Path, sources: Sequence[str], props: dict[str, Any] | None = None, users: str = ""
) -> Path:
    """Writes global.yaml and database-shop.yaml; `sources` are texts of `source_yaml`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "global.yaml").write_text(global_yaml(props, users))
    text = _DATABASE_YAML.format(database=DATABASE, sources="".join(sources).rstrip("\n"))
    (directory / f"database-{DATABASE}.yaml").write_text(text)
    return directory


def forget_decisions(sources: Sequence[DatabaseServer]) -> None:
    """Deletes what processes that were killed, and those that rolled back, have left in the tables of decisions, once no write may be
    undone any more: other tests count rows."""
    schemas = [(server, shard_schema(number)) for number, server in enumerate(sources)]

    def has(server: DatabaseServer, schema: str, table: str) -> bool:
        return bool(server.execute(f"SHOW TABLES FROM {schema} LIKE '{table}'"))

    def settled() -> bool:
        return not any(
            has(server, schema, "dbmesh_undo")
            and server.execute(f"SELECT 1 FROM {schema}.dbmesh_undo LIMIT 1")
            for server, schema in schemas
        )

    wait_until(settled, 30, "writes to be settled")
    for server, schema in schemas:
        if has(server, schema, "dbmesh_txn"):
            server.execute(f"DELETE FROM {schema}.dbmesh_txn")
