"""The demo's shop: its rules, its tables and its rows.

Decides what the demo holds. Where the databases run and how statements reach them is `demo`'s business. Rows are a
function of their number alone, so every demo shows the same shop; all statements are sent through the mesh, which
places the rows.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from dbmesh.sql.literals import literal_text

ROWS_PER_INSERT = 200
USERS = 200
ORDERS = 2_000
COUNTRIES = (
    ("AR", "Argentina", "South America"),
    ("AU", "Australia", "Oceania"),
    ("BR", "Brazil", "South America"),
    ("CA", "Canada", "North America"),
    ("CL", "Chile", "South America"),
    ("CN", "China", "Asia"),
    ("DE", "Germany", "Europe"),
    ("EG", "Egypt", "Africa"),
    ("ES", "Spain", "Europe"),
    ("FR", "France", "Europe"),
    ("GB", "United Kingdom", "Europe"),
    ("IN", "India", "Asia"),
    ("IT", "Italy", "Europe"),
    ("JP", "Japan", "Asia"),
    ("KE", "Kenya", "Africa"),
    ("MX", "Mexico", "North America"),
    ("NZ", "New Zealand", "Oceania"),
    ("PL", "Poland", "Europe"),
    ("US", "United States", "North America"),
    ("ZA", "South Africa", "Africa"),
)
SCHEMA: tuple[str, ...] = (
    (
        "CREATE TABLE t_user (user_id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(64) NOT NULL, "
        "email VARCHAR(120) NOT NULL, country CHAR(2) NOT NULL, balance DECIMAL(12,2) NOT NULL DEFAULT 0, "
        "created DATETIME NOT NULL, KEY k_country (country))"
    ),
    (
        "CREATE TABLE t_order (order_id BIGINT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL, "
        "status VARCHAR(16) NOT NULL, amount DECIMAL(10,2) NOT NULL, created DATETIME NOT NULL, KEY k_user (user_id))"
    ),
    (
        "CREATE TABLE t_order_item (order_id BIGINT NOT NULL, item_id INT NOT NULL, user_id BIGINT NOT NULL, "
        "product VARCHAR(40) NOT NULL, quantity INT NOT NULL, price DECIMAL(10,2) NOT NULL, "
        "PRIMARY KEY (order_id, item_id))"
    ),
    (
        "CREATE TABLE t_country (code CHAR(2) NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL, "
        "continent VARCHAR(20) NOT NULL)"
    ),
    "CREATE TABLE t_config (name VARCHAR(40) NOT NULL PRIMARY KEY, value VARCHAR(200) NOT NULL)",
)
"""The logic tables; sent through the mesh, each statement makes every actual table."""

QUERIES: tuple[tuple[str, str], ...] = (
    (
        (
            "SELECT status, COUNT(*) AS orders, SUM(amount) AS total, AVG(amount) AS average "
            "FROM t_order GROUP BY status ORDER BY total DESC;"
        ),
        "Four shards count and sum; the mesh adds up exactly, as one server would.",
    ),
    (
        (
            "SELECT o.order_id, o.status, i.product, i.quantity, i.price FROM t_order o JOIN t_order_item i "
            "ON o.order_id = i.order_id AND o.user_id = i.user_id WHERE o.user_id = 42 "
            "ORDER BY o.order_id, i.item_id LIMIT 10;"
        ),
        "Binding tables: the join stays inside the one data source that holds user 42.",
    ),
    (
        (
            "SELECT u.name, c.name AS country, u.balance FROM t_user u JOIN t_country c ON u.country = c.code "
            "ORDER BY u.balance DESC, u.user_id LIMIT 5;"
        ),
        "A broadcast table joined on every shard, and the sorted rows merged into one top five.",
    ),
)
"""Queries worth trying, each with a sentence on what it shows."""

_FIRST_NAMES = ("Ada", "Bo", "Chen", "Dina", "Emil", "Fatima", "Goran", "Hana", "Ivo", "José")
_LAST_NAMES = (
    "Archer",
    "Baker",
    "Cooper",
    "Draper",
    "Fisher",
    "Mason",
    "Potter",
    "Sawyer",
    "Turner",
    "Weaver",
)
_STATUSES = ("NEW", "PAID", "SHIPPED", "DELIVERED", "RETURNED")
_PRODUCTS = ("kettle", "lamp", "notebook", "pencil", "rug", "teapot", "umbrella")
_START = datetime.datetime(2025, 1, 1, 8, 0)
_CONFIGURATION = (("currency", "EUR"), ("free_shipping_from", "50.00"), ("motto", "One port, many shards"))

_DATABASE = """\
databaseName: shop

dataSources:
{data_sources}
rules:
- !SHARDING
  tables:
    t_user:
      actualDataNodes: ds_${{0..1}}.t_user_${{0..1}}
      databaseStrategy:
        standard:
          shardingColumn: user_id
          shardingAlgorithmName: by_user
      tableStrategy:
        standard:
          shardingColumn: user_id
          shardingAlgorithmName: user_table
    t_order:
      actualDataNodes: ds_${{0..1}}.t_order_${{0..{last}}}
      databaseStrategy:
        standard:
          shardingColumn: user_id
          shardingAlgorithmName: by_user
      tableStrategy:
        standard:
          shardingColumn: order_id
          shardingAlgorithmName: order_table
      keyGenerateStrategy:
        column: order_id
        keyGeneratorName: snowflake
    t_order_item:
      actualDataNodes: ds_${{0..1}}.t_order_item_${{0..{last}}}
      databaseStrategy:
        standard:
          shardingColumn: user_id
          shardingAlgorithmName: by_user
      tableStrategy:
        standard:
          shardingColumn: order_id
          shardingAlgorithmName: order_item_table
  bindingTables:
  - t_order,t_order_item
  shardingAlgorithms:
    by_user:
      type: INLINE
      props:
        algorithm-expression: ds_${{user_id % 2}}
    user_table:
      type: INLINE
      props:
        algorithm-expression: t_user_${{user_id.intdiv(2) % 2}}
    order_table:
      type: INLINE
      props:
        algorithm-expression: t_order_${{order_id % {tables}}}
    order_item_table:
      type: INLINE
      props:
        algorithm-expression: t_order_item_${{order_id % {tables}}}
  keyGenerators:
    snowflake:
      type: SNOWFLAKE
- !BROADCAST
  tables:
  - t_country
- !SINGLE
  tables:
  - "*.*"
  defaultDataSource: ds_0
"""

_GLOBAL = """\
authority:
  users:
  - user: root@%
    password: root
    admin: true
"""


def configuration_files(urls: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """The demo's configuration by file name. `urls` are the two data sources' addresses, by name or in order."""
    addresses = urls if isinstance(urls, Mapping) else {f"ds_{index}": url for index, url in enumerate(urls)}
    sources = "".join(f"  {name}:\n    url: {_quoted(url)}\n" for name, url in addresses.items())
    return {"database-shop.yaml": database_file(sources), "global.yaml": _GLOBAL}


def database_file(data_sources: str, order_tables: int = 2) -> str:
    """The file of the logic database. `data_sources` are the lines of its section, `order_tables` how many actual tables each of them has
    of the orders and of their items."""
    return _DATABASE.format(data_sources=data_sources, last=order_tables - 1, tables=order_tables)


def _quoted(url: str) -> str:
    return "'" + url.replace("'", "''") + "'"


def seed_statements(orders: int = ORDERS) -> Iterator[str]:
    """INSERT statements for every row of a shop with so many orders, at most `ROWS_PER_INSERT` rows each."""
    yield from _inserts("t_country", "code, name, continent", iter(COUNTRIES))
    yield from _inserts("t_config", "name, value", iter(_CONFIGURATION))
    yield from _inserts("t_user", "user_id, name, email, country, balance, created", _users())
    yield from _inserts("t_order", "order_id, user_id, status, amount, created", _orders(orders))
    yield from _inserts(
        "t_order_item", "order_id, item_id, user_id, product, quantity, price", _items(orders)
    )


def _inserts(table: str, columns: str, rows: Iterator[tuple[int | str, ...]]) -> Iterator[str]:
    while batch := tuple(islice(rows, ROWS_PER_INSERT)):
        values = ", ".join(f"({', '.join(map(literal_text, row))})" for row in batch)
        yield f"INSERT INTO {table} ({columns}) VALUES {values}"


def _users() -> Iterator[tuple[int | str, ...]]:
    for number in range(1, USERS + 1):
        first, last = _FIRST_NAMES[number % 10], _LAST_NAMES[number * 7 // 10 % 10]
        country = COUNTRIES[number * 13 % len(COUNTRIES)][0]
        created = _START + datetime.timedelta(hours=number * 5)
        yield (
            number,
            f"{first} {last}",
            f"user{number}@example.org",
            country,
            _money(number * 7919 % 500_000),
            str(created),
        )


def _user_of(order: int) -> int:
    return order * 17 % USERS + 1


def _orders(count: int) -> Iterator[tuple[int | str, ...]]:
    for order in range(1, count + 1):
        amount = sum(quantity * cents for _, quantity, cents in _items_of(order))
        created = _START + datetime.timedelta(days=42, minutes=order * 37)
        yield order, _user_of(order), _STATUSES[order * 3 // 7 % 5], _money(amount), str(created)


def _items(count: int) -> Iterator[tuple[int | str, ...]]:
    for order in range(1, count + 1):
        for item, (product, quantity, cents) in enumerate(_items_of(order), start=1):
            yield order, item, _user_of(order), product, quantity, _money(cents)


def _items_of(order: int) -> list[tuple[str, int, int]]:
    """Product, quantity and price in cents of one to three items."""
    return [
        (_PRODUCTS[(order + item) % 7], (order + item) % 4 + 1, (order * 131 + item * 977) % 9_000 + 199)
        for item in range(order % 3 + 1)
    ]


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
