"""Statements as trees of typed parts: written as text or with parameters, and cut down piece by piece.

Decides how a part is spelled and which smaller trees there are. Knows no server, and not which trees make sense.

Every part is a frozen dataclass that yields its spelling as strings and further parts (`spell`). A field of the type
`tuple` may lose elements down to its `least`; a field that is `optional` may become None.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.differential.schema import INTEGER, Type
from tests.differential.values import Value, integer

_OPTIONAL = {"optional": True}
_ANY_NUMBER = {"least": 0}
_AT_LEAST_ONE = {"least": 1}


class Part:
    """A piece of SQL."""

    def spell(self) -> Iterator[str | Part]:
        """The piece, from left to right."""
        raise NotImplementedError


@dataclass(frozen=True)
class Literal(Part):
    """A value, and another one for a second run of the same shape; a `?` in prepared statements."""

    value: Value
    other: Value
    type: Type = INTEGER

    def spell(self) -> Iterator[str | Part]:
        yield self.value.sql


@dataclass(frozen=True)
class Raw(Part):
    """Text that stays as it is."""

    text: str
    type: Type = INTEGER

    def spell(self) -> Iterator[str | Part]:
        yield self.text


@dataclass(frozen=True)
class ColumnRef(Part):
    """A column as written; `name` is what a result calls it."""

    text: str
    type: Type
    name: str = ""

    def spell(self) -> Iterator[str | Part]:
        yield self.text


@dataclass(frozen=True)
class Call(Part):
    """An operator or function: a template whose `{}` are the arguments."""

    template: str
    arguments: tuple[Part, ...]
    type: Type

    def spell(self) -> Iterator[str | Part]:
        pieces = self.template.split("{}")
        yield pieces[0]
        for argument, piece in zip(self.arguments, pieces[1:], strict=True):
            yield argument
            yield piece


Expression = Literal | Raw | ColumnRef | Call


@dataclass(frozen=True)
class Listing(Part):
    """Expressions between commas: the members of IN, or a row of values."""

    members: tuple[Part, ...] = field(default=(), metadata=_AT_LEAST_ONE)

    def spell(self) -> Iterator[str | Part]:
        for place, member in enumerate(self.members):
            if place:
                yield ", "
            yield member


@dataclass(frozen=True)
class Item(Part):
    """An entry of a select list; `name` is what the result calls it when there is no alias and it is a column."""

    body: Expression
    alias: str | None = field(default=None, metadata=_OPTIONAL)

    @property
    def type(self) -> Type:
        """The type of the result column."""
        return self.body.type

    def spell(self) -> Iterator[str | Part]:
        yield self.body
        if self.alias is not None:
            yield f" AS {self.alias}"


@dataclass(frozen=True)
class Star(Part):
    """`*` or `x.*`, and the types it stands for."""

    text: str
    types: tuple[Type, ...]

    def spell(self) -> Iterator[str | Part]:
        yield self.text


@dataclass(frozen=True)
class TableRef(Part):
    """A table, a CTE's name included, with an index hint or none."""

    name: str
    alias: str | None = field(default=None, metadata=_OPTIONAL)
    hint: str = ""

    def spell(self) -> Iterator[str | Part]:
        yield self.name
        if self.alias is not None:
            yield f" {self.alias}"
        if self.hint:
            yield f" {self.hint}"


@dataclass(frozen=True)
class Derived(Part):
    """A query in FROM."""

    query: Part
    alias: str

    def spell(self) -> Iterator[str | Part]:
        yield "("
        yield self.query
        yield f") AS {self.alias}"


@dataclass(frozen=True)
class Join(Part):
    """Two sources; `on` is a condition or the text `USING (…)`."""

    left: Part
    kind: str
    right: Part
    on: Part | None = field(default=None, metadata=_OPTIONAL)
    bracket: bool = False

    def spell(self) -> Iterator[str | Part]:
        yield self.left
        yield f" {self.kind} " if self.kind != "," else ", "
        if self.bracket:
            yield "("
        yield self.right
        if self.bracket:
            yield ")"
        if self.on is not None:
            yield " ON " if not isinstance(self.on, Raw) else " "
            yield self.on


@dataclass(frozen=True)
class OrderKey(Part):
    """An entry of ORDER BY: an expression, an alias or a position. `item` is the select item it equals, if any."""

    body: Part
    descending: bool = False
    item: int | None = None

    def spell(self) -> Iterator[str | Part]:
        yield self.body
        if self.descending:
            yield " DESC"


@dataclass(frozen=True)
class Tail(Part):
    """The end of an ORDER BY that leaves no two rows equal."""

    keys: tuple[Part, ...]

    def spell(self) -> Iterator[str | Part]:
        for place, key in enumerate(self.keys):
            if place:
                yield ", "
            yield key


@dataclass(frozen=True)
class Limit(Part):
    """LIMIT in one of its three spellings."""

    count: Part
    offset: Part | None = field(default=None, metadata=_OPTIONAL)
    comma: bool = False

    def spell(self) -> Iterator[str | Part]:
        yield " LIMIT "
        if self.offset is None:
            yield self.count
        elif self.comma:
            yield self.offset
            yield ", "
            yield self.count
        else:
            yield self.count
            yield " OFFSET "
            yield self.offset


def _spell_order(order: tuple[OrderKey, ...], tail: Tail | None, limit: Limit | None) -> Iterator[str | Part]:
    if order or tail is not None:
        yield " ORDER BY "
        yield Listing((*order, *(() if tail is None else (tail,))))
    if limit is not None:
        yield limit


@dataclass(frozen=True)
class Cte(Part):
    """One common table expression."""

    name: str
    query: Part
    columns: str = ""

    def spell(self) -> Iterator[str | Part]:
        yield f"{self.name}{self.columns} AS ("
        yield self.query
        yield ")"


def _spell_ctes(ctes: tuple[Cte, ...], recursive: bool) -> Iterator[str | Part]:
    if ctes:
        yield "WITH RECURSIVE " if recursive else "WITH "
        yield Listing(ctes)
        yield " "


@dataclass(frozen=True)
class Select(Part):
    """One SELECT. `single` says that it has exactly one row whatever is stored; `into` are variables that take it."""

    items: tuple[Part, ...] = field(default=(), metadata=_AT_LEAST_ONE)
    source: Part | None = field(default=None, metadata=_OPTIONAL)
    where: Part | None = field(default=None, metadata=_OPTIONAL)
    group: tuple[Part, ...] = field(default=(), metadata=_ANY_NUMBER)
    rollup: bool = False
    having: Part | None = field(default=None, metadata=_OPTIONAL)
    windows: tuple[Part, ...] = field(default=(), metadata=_ANY_NUMBER)
    order: tuple[OrderKey, ...] = field(default=(), metadata=_ANY_NUMBER)
    tail: Tail | None = field(default=None, metadata=_OPTIONAL)
    limit: Limit | None = field(default=None, metadata=_OPTIONAL)
    distinct: bool = False
    modifiers: tuple[str, ...] = ()
    lock: str = ""
    comment: str = ""
    ctes: tuple[Cte, ...] = field(default=(), metadata=_ANY_NUMBER)
    recursive: bool = False
    single: bool = False
    into: str = ""

    def spell(self) -> Iterator[str | Part]:
        yield from _spell_ctes(self.ctes, self.recursive)
        yield "SELECT "
        if self.comment:
            yield f"{self.comment} "
        yield from (f"{modifier} " for modifier in self.modifiers)
        if self.distinct:
            yield "DISTINCT "
        yield Listing(self.items)
        if self.into:
            yield f" INTO {self.into}"
        if self.source is not None:
            yield " FROM "
            yield self.source
        if self.where is not None:
            yield " WHERE "
            yield self.where
        if self.group:
            yield " GROUP BY "
            yield Listing(self.group)
            if self.rollup:
                yield " WITH ROLLUP"
        if self.having is not None:
            yield " HAVING "
            yield self.having
        if self.windows:
            yield " WINDOW "
            yield Listing(self.windows)
        yield from _spell_order(self.order, self.tail, self.limit)
        if self.lock:
            yield f" {self.lock}"


@dataclass(frozen=True)
class Compound(Part):
    """Two queries under UNION, EXCEPT or INTERSECT; members with an ORDER BY or LIMIT, and nested ones, in brackets."""

    left: Part
    operator: str
    right: Part
    order: tuple[OrderKey, ...] = field(default=(), metadata=_ANY_NUMBER)
    tail: Tail | None = field(default=None, metadata=_OPTIONAL)
    limit: Limit | None = field(default=None, metadata=_OPTIONAL)
    ctes: tuple[Cte, ...] = field(default=(), metadata=_ANY_NUMBER)
    recursive: bool = False

    def spell(self) -> Iterator[str | Part]:
        yield from _spell_ctes(self.ctes, self.recursive)
        yield from self._member(self.left)
        yield f" {self.operator} "
        yield from self._member(self.right)
        yield from _spell_order(self.order, self.tail, self.limit)

    @staticmethod
    def _member(query: Part) -> Iterator[str | Part]:
        if isinstance(query, Select) and not (query.order or query.tail or query.limit or query.ctes):
            yield query
        else:
            yield "("
            yield query
            yield ")"


Query = Select | Compound


@dataclass(frozen=True)
class Values(Part):
    """A VALUES statement or table value constructor."""

    rows: tuple[Listing, ...] = field(default=(), metadata=_AT_LEAST_ONE)

    def spell(self) -> Iterator[str | Part]:
        yield "VALUES "
        for place, row in enumerate(self.rows):
            yield ", (" if place else "("
            yield row
            yield ")"


@dataclass(frozen=True)
class Assignment(Part):
    """`column = expression`."""

    column: str
    body: Part

    def spell(self) -> Iterator[str | Part]:
        yield f"{self.column} = "
        yield self.body


@dataclass(frozen=True)
class Insert(Part):
    """INSERT and REPLACE. Either `rows`, `sets` or `query` gives the values."""

    verb: str
    table: str
    columns: tuple[str, ...] = ()
    rows: tuple[Listing, ...] = field(default=(), metadata=_AT_LEAST_ONE)
    sets: tuple[Assignment, ...] = field(default=(), metadata=_AT_LEAST_ONE)
    query: Part | None = None
    update: tuple[Assignment, ...] = field(default=(), metadata=_ANY_NUMBER)
    returning: tuple[Part, ...] = field(default=(), metadata=_ANY_NUMBER)

    def spell(self) -> Iterator[str | Part]:
        yield f"{self.verb} INTO {self.table}"
        if self.sets:
            yield " SET "
            yield Listing(self.sets)
        else:
            if self.columns:
                yield f" ({', '.join(self.columns)})"
            yield " "
            yield self.query if self.query is not None else Values(self.rows)
        if self.update:
            yield " ON DUPLICATE KEY UPDATE "
            yield Listing(self.update)
        if self.returning:
            yield " RETURNING "
            yield Listing(self.returning)


@dataclass(frozen=True)
class Update(Part):
    """UPDATE of one or several tables."""

    source: Part
    sets: tuple[Assignment, ...] = field(default=(), metadata=_AT_LEAST_ONE)
    where: Part | None = field(default=None, metadata=_OPTIONAL)
    order: tuple[OrderKey, ...] = field(default=(), metadata=_ANY_NUMBER)
    tail: Tail | None = field(default=None, metadata=_OPTIONAL)
    limit: Limit | None = field(default=None, metadata=_OPTIONAL)
    ignore: bool = False

    def spell(self) -> Iterator[str | Part]:
        yield "UPDATE IGNORE " if self.ignore else "UPDATE "
        yield self.source
        yield " SET "
        yield Listing(self.sets)
        if self.where is not None:
            yield " WHERE "
            yield self.where
        yield from _spell_order(self.order, self.tail, self.limit)


@dataclass(frozen=True)
class Delete(Part):
    """DELETE from one table, or with `targets` from tables of a join."""

    source: Part
    targets: str = ""
    where: Part | None = field(default=None, metadata=_OPTIONAL)
    order: tuple[OrderKey, ...] = field(default=(), metadata=_ANY_NUMBER)
    tail: Tail | None = field(default=None, metadata=_OPTIONAL)
    limit: Limit | None = field(default=None, metadata=_OPTIONAL)
    returning: tuple[Part, ...] = field(default=(), metadata=_ANY_NUMBER)

    def spell(self) -> Iterator[str | Part]:
        yield f"DELETE {self.targets} FROM " if self.targets else "DELETE FROM "
        yield self.source
        if self.where is not None:
            yield " WHERE "
            yield self.where
        yield from _spell_order(self.order, self.tail, self.limit)
        if self.returning:
            yield " RETURNING "
            yield Listing(self.returning)


@dataclass(frozen=True)
class Write(Part):
    """A statement that changes these tables."""

    body: Part
    tables: frozenset[str]

    def spell(self) -> Iterator[str | Part]:
        yield self.body


@dataclass(frozen=True)
class Script(Part):
    """Statements of one session, one after another; `steps` share the session's variables and counters."""

    steps: tuple[Part, ...] = field(default=(), metadata=_AT_LEAST_ONE)
    tables: frozenset[str] = frozenset()

    def spell(self) -> Iterator[str | Part]:
        for place, step in enumerate(self.steps):
            if place:
                yield "; "
            yield step


def write(part: Part, *, other: bool = False) -> str:
    """The text of a statement; with `other` that of the same shape with other literals."""
    pieces: list[str] = []
    _write(part, pieces, None, other)
    return "".join(pieces)


def write_prepared(part: Part, *, other: bool = False) -> tuple[str, list[Value]]:
    """The text with a `?` for every literal, and the parameters."""
    pieces: list[str] = []
    parameters: list[Value] = []
    _write(part, pieces, parameters, other)
    return "".join(pieces), parameters


def _write(part: Part, pieces: list[str], parameters: list[Value] | None, other: bool) -> None:
    if isinstance(part, Literal):
        value = part.other if other else part.value
        if parameters is None:
            pieces.append(value.sql)
        else:
            pieces.append("?")
            parameters.append(value)
        return
    for piece in part.spell():
        if isinstance(piece, str):
            pieces.append(piece)
        else:
            _write(piece, pieces, parameters, other)


_ONE = Literal(integer(1), integer(1))


def smaller(part: Part) -> Iterator[Part]:
    """Trees with something less, the greatest cuts first. Not all of them are SQL."""
    if isinstance(part, Call):
        yield from (argument for argument in part.arguments if isinstance(argument, Expression))
        yield _ONE
    if isinstance(part, Compound):
        yield part.left
        yield part.right
    if isinstance(part, Join):
        yield part.left
        yield part.right
    if isinstance(part, Cte | Derived) and isinstance(part.query, Compound):
        yield replace(part, query=part.query.left)
    for entry in dataclasses.fields(part):  # type: ignore[arg-type]
        value = getattr(part, entry.name)
        for less in _less(value, entry.metadata):
            yield replace(part, **{entry.name: less})  # type: ignore[type-var]


def _less(value: Any, metadata: Any) -> Iterator[Any]:
    if value is None:
        return
    if metadata.get("optional"):
        yield None
    if value is True:
        yield False
    if isinstance(value, Part):
        yield from smaller(value)
    elif isinstance(value, tuple) and value and isinstance(value[0], Part | str):
        least = metadata.get("least", 1 if isinstance(value[0], Part) else 0)
        if len(value) > 2 and "least" in metadata:
            half = len(value) // 2
            yield from (kept for kept in (value[:half], value[half:]) if len(kept) >= least)
        if "least" in metadata or isinstance(value[0], str):
            for place in range(len(value)):
                if len(value) > least:
                    yield value[:place] + value[place + 1 :]
        for place, member in enumerate(value):
            if isinstance(member, Part):
                for less in smaller(member):
                    yield (*value[:place], less, *value[place + 1 :])
    elif isinstance(value, str) and metadata.get("optional"):
        yield ""


def size(part: Part) -> int:
    """How many parts a tree has."""
    return 1 + sum(size(piece) for piece in part.spell() if isinstance(piece, Part))


@dataclass(frozen=True)
class Executed(Part):
    """`EXECUTE …`, whose answer is that of `query`, with its other literals or its first ones."""

    text: str
    query: Part
    other: bool = False

    def spell(self) -> Iterator[str | Part]:
        yield self.text


@dataclass(frozen=True)
class TextPrepared(Part):
    """A query sent by PREPARE … FROM and EXECUTE … USING, with two sets of values."""

    query: Part

    def spell(self) -> Iterator[str | Part]:
        yield self.script()

    def script(self) -> Script:
        """The statements."""
        text, first = write_prepared(self.query)
        quoted = text.replace("\\", "\\\\").replace("'", "''")
        steps: list[Part] = [Raw(f"PREPARE p FROM '{quoted}'")]
        for other, values in enumerate((first, write_prepared(self.query, other=True)[1])):
            steps += [Raw(f"SET @p{place} = {value.sql}") for place, value in enumerate(values)]
            using = f" USING {', '.join(f'@p{place}' for place in range(len(values)))}" if values else ""
            steps.append(Executed(f"EXECUTE p{using}", self.query, bool(other)))
        return Script((*steps, Raw("DEALLOCATE PREPARE p")))
