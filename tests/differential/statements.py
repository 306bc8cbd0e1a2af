"""Random statements on the shop's tables, from a seed: the same seed gives the same statements.

Decides which forms are tried and that each has one right answer: an ORDER BY under LIMIT is total, sums are of exact
numbers. Texts that MySQL may answer in either of two equal spellings make a statement `folded`. Knows no server.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pymysql.converters import escape_item

from tests.plugins.shop import ROWS


@dataclass(frozen=True)
class Statement:
    """One statement; `ordered` when its rows have one order, `folded` when texts may differ in case and padding;
    `writes` is the table it changes."""

    text: str
    ordered: bool = False
    folded: bool = False
    writes: str = ""


@dataclass(frozen=True)
class Column:
    """A column as written (`o.qty`), what it holds, and values that occur in it."""

    name: str
    kind: str
    values: Sequence[Any]


_KINDS = {
    "t_user": "user_id:int name:ci email:ci country:ci balance:decimal born:date created:datetime",
    "t_order": "order_id:int user_id:int status:ci amount:decimal qty:int note:ci created:datetime",
    "t_order_item": "order_id:int user_id:int item_id:int product:ci price:decimal",
    "t_country": "code:ci name:ci continent:ci",
    "t_config": "name:ci value:ci",
    "t_types": "id:int tiny:int utiny:int small:int medium:int number:int unumber:int big:int ubig:int money:decimal "
    "f:float d:double flag:bit day:date clock:time moment:datetime stamp:datetime y:int fixed:ci word:ci bin:binary "
    "body:ci data:binary doc:json kind:enum tags:enum latin:ci exact:bin",
    "t_auto": "id:int word:ci n:int",
}
_KEYS = {
    "t_user": ("user_id",),
    "t_order": ("order_id",),
    "t_order_item": ("order_id", "item_id"),
    "t_country": ("code",),
    "t_config": ("name",),
    "t_types": ("id",),
    "t_auto": ("id",),
}
_NUMBERS = ("int", "decimal", "float")
_TEXTS = ("ci", "bin")
_ODD = ("NULL", "0", "-1", "'5'", "5.0", "5.5", "'abc'", "''", "1e1", "0x05", "TRUE")


def columns_of(table: str, alias: str = "") -> list[Column]:
    """The columns of a table, qualified when an alias is given."""
    found: list[Column] = []
    for position, entry in enumerate(_KINDS[table].split()):
        name, kind = entry.split(":")
        values = [row[position] for row in ROWS[table]] or (
            ["w", "x y", None] if kind in _TEXTS else [1, 2, None]
        )
        found.append(Column(f"{alias}.{name}" if alias else name, kind, values))
    return found


class Source:
    """What a SELECT reads: the FROM text, its columns, and those that together name one row."""

    def __init__(self, text: str, columns: list[Column], key: Sequence[str]) -> None:
        self.text = text
        self.columns = columns
        self.key = list(key)

    @classmethod
    def table(cls, name: str, alias: str = "") -> Source:
        """One table."""
        key = [f"{alias}.{column}" if alias else column for column in _KEYS[name]]
        return cls(f"{name} {alias}".strip(), columns_of(name, alias), key)


class Generator:
    """Statements without end."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._forms: list[tuple[Callable[[], Statement], int]] = [
            (self.rows, 30),
            (self.distinct, 10),
            (self.totals, 12),
            (self.groups, 20),
            (self.counted, 4),
            (self.exists, 4),
            (self.nested, 5),
            (self.insert, 8),
            (self.update, 8),
            (self.delete, 5),
        ]

    def next(self, *, writing: bool = True) -> Statement:
        """The next statement; with `writing` false one that changes nothing."""
        forms = self._forms if writing else self._forms[:7]
        [form] = self._random.choices([f for f, _ in forms], [weight for _, weight in forms])
        return form()

    # ------------------------------------------------------------------------------------------ parts

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _some(self, items: Sequence[Any], most: int) -> list[Any]:
        return self._random.sample(list(items), self._random.randint(1, min(most, len(items))))

    def source(self, *, joins: bool = True) -> Source:
        """A table, or tables whose join the rules allow."""
        kind = self._random.random() if joins else 0.0
        if kind < 0.65:
            name = self._random.choice(
                ("t_user", "t_order", "t_order", "t_types", "t_types", "t_order_item", "t_country")
            )
            return Source.table(name, self._random.choice(("", "x")))
        side = self._random.choice(("", "INNER ", "LEFT "))
        if kind < 0.9:
            on = "o.order_id = i.order_id AND o.user_id = i.user_id"
            columns = columns_of("t_order", "o") + columns_of("t_order_item", "i")
            condition = "USING (order_id, user_id)" if self._chance(0.2) else f"ON {on}"
            return Source(
                f"t_order o {side}JOIN t_order_item i {condition}", columns, ["o.order_id", "i.item_id"]
            )
        columns = columns_of("t_user", "u") + columns_of("t_country", "c")
        return Source(f"t_user u {side}JOIN t_country c ON u.country = c.code", columns, ["u.user_id"])

    def literal(self, column: Column) -> str:
        """A literal to compare with a column: mostly one of its values, sometimes an odd one."""
        if self._chance(0.12):
            return self._random.choice(_ODD)
        text = str(escape_item(self._random.choice(column.values), "utf8mb4"))
        return text[7:] if text.startswith("_binary") else text

    def condition(self, columns: Sequence[Column], depth: int = 2) -> str:
        """A condition on the columns; sharding keys come first in every table, and are chosen often."""
        if depth and self._chance(0.4):
            joint = self._random.choice((" AND ", " AND ", " OR "))
            parts = [self.condition(columns, depth - 1) for _ in range(2)]
            return f"({joint.join(parts)})" if self._chance(0.7) else f"NOT ({joint.join(parts)})"
        usable = [column for column in columns if column.kind not in ("json", "binary", "double")]
        column = usable[0] if self._chance(0.35) else self._random.choice(usable)
        name = column.name
        form = self._random.random()
        if form < 0.4:
            return f"{name} {self._random.choice(('=', '=', '=', '<>', '<', '<=', '>', '>=', '<=>'))} {self.literal(column)}"
        if form < 0.65:
            members = ", ".join(self.literal(column) for _ in range(self._random.randint(1, 5)))
            return f"{name} {'NOT ' if self._chance(0.15) else ''}IN ({members})"
        if form < 0.8:
            return f"{name} BETWEEN {self.literal(column)} AND {self.literal(column)}"
        if form < 0.9 or column.kind not in _TEXTS:
            return f"{name} IS {'NOT ' if self._chance(0.5) else ''}NULL"
        return f"{name} LIKE {self._pattern()}"

    def _pattern(self) -> str:
        return self._random.choice(("'%a%'", "'A%'", "'note _'", "'%5'", "'user 1%'"))

    def where(self, source: Source, probability: float = 0.75) -> str:
        """A WHERE clause, or none."""
        return f" WHERE {self.condition(source.columns)}" if self._chance(probability) else ""

    def limit(self) -> str:
        """A LIMIT clause in one of its forms."""
        rows, skipped = self._random.randint(0, 12), self._random.randint(0, 8)
        return self._random.choice(
            (f" LIMIT {rows}", f" LIMIT {skipped}, {rows}", f" LIMIT {rows} OFFSET {skipped}")
        )

    def expression(self, columns: Sequence[Column]) -> str:
        """A value computed from one row."""
        column = self._random.choice([c for c in columns if c.kind != "json"])
        name = column.name
        if column.kind in _NUMBERS:
            return self._random.choice(
                (f"{name} + 1", f"-{name}", f"{name} * 2", f"ABS({name})", f"COALESCE({name}, 0)", f"{name} IS NULL",
                 f"CASE WHEN {name} > 3 THEN 'big' ELSE 'small' END", f"{name} % 7", f"ROUND({name}, 1)")
            )  # fmt: skip
        if column.kind in _TEXTS:
            return self._random.choice(
                (
                    f"UPPER({name})",
                    f"CONCAT({name}, '!')",
                    f"LENGTH({name})",
                    f"LEFT({name}, 2)",
                    f"IFNULL({name}, '-')",
                )
            )
        if column.kind in ("date", "datetime"):
            return self._random.choice((f"YEAR({name})", f"DATE({name})", f"{name} + INTERVAL 1 DAY"))
        return name

    # ------------------------------------------------------------------------------------------ queries

    def rows(self) -> Statement:
        """Rows, with ORDER BY and LIMIT."""
        source = self.source()
        items = ["*"] if self._chance(0.2) else self._items(source)
        order = self._order(source, items)
        text = f"SELECT {', '.join(items)} FROM {source.text}{self.where(source)}{order}"
        if order and self._chance(0.5):
            text += self.limit()
        return Statement(text, ordered=bool(order))

    def _items(self, source: Source) -> list[str]:
        items: list[str] = []
        for number, column in enumerate(self._some(source.columns, 4)):
            body = self.expression(source.columns) if self._chance(0.3) else column.name
            items.append(f"{body} AS a{number}" if self._chance(0.3) else body)
        return items

    def _order(self, source: Source, items: list[str]) -> str:
        if self._chance(0.35):
            return ""
        sortable = [c.name for c in source.columns if c.kind not in ("json", "double")]
        keys = self._some(sortable, 2)
        keys += [item.split(" AS ")[1] for item in items if " AS " in item and self._chance(0.3)]
        if self._chance(0.15):
            keys.append(self.expression(source.columns))
        keys = list(dict.fromkeys([*keys, *source.key]))
        return " ORDER BY " + ", ".join(key + self._random.choice(("", "", " ASC", " DESC")) for key in keys)

    def distinct(self) -> Statement:
        """DISTINCT rows."""
        source = self.source()
        columns = self._some([c for c in source.columns if c.kind not in ("json", "double")], 3)
        names = ", ".join(column.name for column in columns)
        order = self._chance(0.6)
        text = f"SELECT DISTINCT {names} FROM {source.text}{self.where(source)}"
        if order:
            text += " ORDER BY " + ", ".join(c.name + self._random.choice(("", " DESC")) for c in columns)
            text += self.limit() if self._chance(0.5) else ""
        return Statement(text, ordered=order, folded=True)

    def aggregate(self, columns: Sequence[Column]) -> str:
        """An aggregate function of a column."""
        column = self._random.choice(
            [c for c in columns if c.kind not in ("json", "double", "bit", "binary")]
        )
        name = column.name
        if self._chance(0.2):
            return "COUNT(*)"
        functions = ["COUNT({})", "MIN({})", "MAX({})", "COUNT(DISTINCT {})"]
        if column.kind in _NUMBERS:
            functions += [
                "SUM({})",
                "AVG({})",
                "SUM({})",
                "SUM(DISTINCT {})",
                "AVG(DISTINCT {})",
                "COALESCE(SUM({}), 0)",
            ]
        if column.kind == "int":
            functions += ["BIT_OR({})", "BIT_AND({})", "BIT_XOR({})"]
        return self._random.choice(functions).format(name)

    def totals(self) -> Statement:
        """Aggregates of all rows."""
        source = self.source()
        calls = [self.aggregate(source.columns) for _ in range(self._random.randint(1, 4))]
        items = [f"{call} AS t{n}" if self._chance(0.3) else call for n, call in enumerate(calls)]
        return Statement(f"SELECT {', '.join(items)} FROM {source.text}{self.where(source)}", folded=True)

    def groups(self) -> Statement:
        """Aggregates by group, with HAVING, ORDER BY and LIMIT."""
        source = self.source()
        keys = [
            c.name
            for c in self._some([c for c in source.columns if c.kind not in ("json", "double", "binary")], 2)
        ]
        calls = [self.aggregate(source.columns) for _ in range(self._random.randint(1, 3))]
        items = [
            *(key for key in keys if self._chance(0.9)),
            *(f"{call} AS g{n}" for n, call in enumerate(calls)),
        ]
        text = f"SELECT {', '.join(items)} FROM {source.text}{self.where(source, 0.5)} GROUP BY {', '.join(keys)}"
        if self._chance(0.3):
            call = self._random.choice(("COUNT(*)", "g0"))
            text += (
                f" HAVING {call} {self._random.choice(('>', '<', '=', '>='))} {self._random.randint(0, 6)}"
            )
        ordered = self._chance(0.6)
        if ordered:
            order = [key + self._random.choice(("", " DESC")) for key in keys]
            if self._chance(0.4):
                order.insert(0, f"g{self._random.randrange(len(calls))}" + self._random.choice(("", " DESC")))
            text += f" ORDER BY {', '.join(order)}"
            text += self.limit() if self._chance(0.5) else ""
        return Statement(text, ordered=ordered, folded=True)

    def counted(self) -> Statement:
        """COUNT(*) of a derived table, as ORMs page."""
        source = self.source()
        items = ", ".join(f"{c.name} AS c{n}" for n, c in enumerate(self._some(source.columns, 3)))
        return Statement(
            f"SELECT COUNT(*) AS n FROM (SELECT {items} FROM {source.text}{self.where(source)}) AS sub"
        )

    def exists(self) -> Statement:
        """Whether a row is there, as ORMs ask."""
        source = self.source(joins=False)
        inner = f"SELECT 1 AS a FROM {source.text}{self.where(source, 1.0)}"
        return Statement(self._random.choice((f"{inner} LIMIT 1", f"SELECT EXISTS ({inner}) AS found")))

    def nested(self) -> Statement:
        """Subqueries on a bound table, about the same order."""
        inner = self.condition(columns_of("t_order_item", "i"), 1)
        beside = f"i.order_id = o.order_id AND i.user_id = o.user_id AND {inner}"
        outer = self.condition(columns_of("t_order", "o"), 1)
        counted = f"SELECT COUNT(*) FROM t_order_item i WHERE {beside}"
        pairs = f"SELECT i.order_id, i.user_id FROM t_order_item i WHERE {inner}"
        orders = f"SELECT i.order_id FROM t_order_item i WHERE i.user_id = o.user_id AND {inner}"
        text = self._random.choice(
            (
                f"SELECT * FROM t_order o WHERE EXISTS (SELECT 1 FROM t_order_item i WHERE {beside}) AND {outer}",
                f"SELECT * FROM t_order o WHERE NOT EXISTS (SELECT 1 FROM t_order_item i WHERE {beside}) OR {outer}",
                f"SELECT COUNT(*) FROM t_order o WHERE (o.order_id, o.user_id) IN ({pairs}) AND {outer}",
                f"SELECT o.order_id, ({counted}) AS items FROM t_order o WHERE {outer}",
                f"SELECT o.status, COUNT(*) FROM t_order o WHERE ({counted}) > 1 GROUP BY o.status",
                f"SELECT o.order_id FROM t_order o WHERE o.user_id = 7 AND o.order_id IN ({orders})",
            )
        )
        return Statement(text, folded=True)

    # ------------------------------------------------------------------------------------------ writes

    def insert(self) -> Statement:
        """INSERT and its relatives, on t_auto and t_country."""
        if self._chance(0.15):
            row = f"('{self._random.choice(('DE', 'XX', 'YY'))}', 'Land', NULL)"
            return Statement(
                f"{self._random.choice(('REPLACE', 'INSERT IGNORE'))} INTO t_country VALUES {row}",
                writes="t_country",
            )
        verb = self._random.choice(("INSERT", "INSERT", "INSERT IGNORE", "REPLACE"))
        rows = ", ".join(
            f"({self._random.randint(1, 40)}, {self._random.choice(('NULL', repr('w'), repr('W '), repr('x y')))}, "
            f"{self._random.randint(-3, 9)})"
            for _ in range(self._random.choice((1, 2, 5)))
        )
        text = f"{verb} INTO t_auto (id, word, n) VALUES {rows}"
        if verb == "INSERT" and self._chance(0.5):
            text += " ON DUPLICATE KEY UPDATE n = " + self._random.choice(("n + 1", "VALUES(n)", "5", "n"))
        return Statement(text, writes="t_auto")

    def update(self) -> Statement:
        """UPDATE of rows named by any condition."""
        table, change = self._random.choice(
            (
                ("t_auto", "n = n + 1"),
                ("t_auto", "word = 'new'"),
                ("t_auto", "word = CONCAT(word, 'x'), n = 3"),
                ("t_order", "qty = qty + 1"),
                ("t_order", "note = NULL, amount = amount * 2"),
                ("t_user", "balance = 0"),
                ("t_types", "number = 7, kind = 'small'"),
                ("t_country", "continent = 'Earth'"),
            )
        )
        ignore = "IGNORE " if self._chance(0.1) else ""
        return Statement(f"UPDATE {ignore}{table} SET {change}{self._few(table)}", writes=table)

    def _few(self, table: str) -> str:
        """A WHERE clause that leaves most rows of the shop as they are."""
        columns = columns_of(table)
        if table == "t_auto":
            return f" WHERE {self.condition(columns)}"
        values = ", ".join(self.literal(columns[0]) for _ in range(3))
        return f" WHERE {columns[0].name} IN ({values}) AND {self.condition(columns, 1)}"

    def delete(self) -> Statement:
        """DELETE of rows named by any condition."""
        table = self._random.choice(("t_auto", "t_auto", "t_order_item", "t_types", "t_country"))
        return Statement(f"DELETE FROM {table}{self._few(table)}", writes=table)
