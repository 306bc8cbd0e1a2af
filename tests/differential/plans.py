"""Other spellings of a statement that a plain server runs by another plan: through a temporary table, in another order of
its joins, or not at all.

Column definitions depend on the plan: whether the rows go through a temporary table (MySQL manual, "Internal Temporary Table
Use in MySQL"). Where a statement names several tables, that depends on which is read first, and so on how many rows are
where. Decides which spellings mean the same. Compares no rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from tests.differential.client import Answer, read_definition
from tests.differential.schema import INTEGER
from tests.differential.tree import (
    Call,
    Compound,
    Delete,
    Derived,
    Insert,
    Join,
    Limit,
    OrderKey,
    Part,
    Raw,
    Select,
    Star,
    TableRef,
    Update,
    Write,
)

_MODIFIERS = ("SQL_BUFFER_RESULT", "SQL_BIG_RESULT", "SQL_SMALL_RESULT")
_INNER = frozenset(("JOIN", "INNER JOIN", "CROSS JOIN", "STRAIGHT_JOIN", ","))
_OUTER = ("LEFT", "RIGHT")
_MOST_ORDERS = 11


def buffered(statement: Part) -> Iterator[Part]:
    """The statement with a temporary table at its end; with groups made by sorting, or in a table in memory."""
    if isinstance(statement, Select) and statement.source is not None:
        for modifier in _MODIFIERS if statement.group or statement.distinct else _MODIFIERS[:1]:
            yield replace(statement, modifiers=(*statement.modifiers, modifier))


def unplanned(statement: Part) -> Iterator[Part]:
    """The statement that is not run at all."""
    if isinstance(statement, Select) and _tables(statement) > 1:
        yield replace(statement, limit=Limit(Raw("0")))


def unlimited(statement: Part) -> Iterator[Part]:
    """The statement for all rows: how many of them are looked at for a few is open, and who sorts looks at all."""
    body = statement.body if isinstance(statement, Write) else statement
    if isinstance(body, Select | Compound | Update | Delete) and body.limit is not None:
        whole = replace(body, limit=None)
        yield replace(statement, body=whole) if isinstance(statement, Write) else whole


def of_a_join(statement: Part) -> Iterator[Part]:
    """An UPDATE or DELETE of one table written as that of a join, whose rows MariaDB looks for as a SELECT does."""
    body = statement.body if isinstance(statement, Write) else None
    if not isinstance(statement, Write) or not isinstance(body, Update | Delete) or body.limit is not None:
        return
    if isinstance(body.source, TableRef) and not (body.order or body.tail):
        if isinstance(body, Update):
            one = Join(body.source, "JOIN", Raw("(SELECT 1) AS one_row"))
            yield replace(statement, body=replace(body, source=one))
        elif not body.returning:
            yield replace(statement, body=replace(body, targets=body.source.alias or body.source.name))


def reordered(statement: Part) -> Iterator[Part]:
    """The statement with its conditions from right to left, and those of its inner joins in front of WHERE: a server looks at
    them in any order."""
    for first in (statement, _before_where(statement)):
        for other in (first, _turned(first)):
            if other != statement:
                yield other


def _turned(part: Part) -> Part:
    """The part with the arguments of AND and OR from right to left."""
    if isinstance(part, Call) and part.template in ("({} AND {})", "({} OR {})", "{} AND {}"):
        return replace(part, arguments=tuple(map(_turned, reversed(part.arguments))))
    return _of_parts(part, _turned)


def _before_where(part: Part) -> Part:
    """The part with the conditions of inner joins in WHERE."""
    if not isinstance(part, Select | Update | Delete) or not isinstance(part.source, Join):
        return _of_parts(part, _before_where)
    conditions: list[Part] = []
    source = _without_conditions(part.source, conditions)
    if not conditions:
        return _of_parts(part, _before_where)
    if part.where is not None:
        conditions.append(part.where)
    where = conditions[0]
    for condition in conditions[1:]:
        where = Call("({} AND {})", (where, condition), INTEGER)
    return _of_parts(replace(part, source=source, where=where), _before_where)


def _without_conditions(source: Part, conditions: list[Part]) -> Part:
    if not isinstance(source, Join) or source.kind not in _INNER or isinstance(source.on, Raw):
        return source
    left = _without_conditions(source.left, conditions)
    if source.on is not None:
        conditions.append(Call("({})", (source.on,), INTEGER))
    return replace(source, left=left, on=None)


def _of_parts(part: Part, change: Callable[[Part], Part]) -> Part:
    """The part with each of its parts changed."""
    changed: dict[str, Any] = {}
    for entry in dataclasses.fields(part):  # type: ignore[arg-type]
        value = getattr(part, entry.name)
        if isinstance(value, Part):
            changed[entry.name] = change(value)
        elif isinstance(value, tuple):
            changed[entry.name] = tuple(change(one) if isinstance(one, Part) else one for one in value)
    return replace(part, **changed)  # type: ignore[type-var]


def unhinted(statement: Part) -> Iterator[Part]:
    """The statement without index hints, which change no answer."""
    other = _with_hints(statement, "")
    if other != statement:
        yield other


def forced(statement: Part) -> Iterator[Part]:
    """The statement by way of other indexes."""
    for hint in (
        "FORCE INDEX (PRIMARY)",
        "FORCE INDEX (k0)",
        "FORCE INDEX (k1)",
        "IGNORE INDEX (PRIMARY, k0)",
        "IGNORE INDEX FOR JOIN (PRIMARY, k0)",
    ):
        yield _with_hints(statement, hint)


def _with_hints(part: Part, hint: str) -> Part:
    """The part with this hint at each of its tables."""
    if isinstance(part, TableRef):
        return replace(part, hint=hint)
    return _of_parts(part, lambda one: _with_hints(one, hint))


def in_another_order(statement: Part) -> Iterator[Part]:
    """INSERT … SELECT without ORDER BY, with its rows in an order: which of them fails first is open."""
    body = statement.body if isinstance(statement, Write) else None
    if isinstance(statement, Write) and isinstance(body, Insert) and isinstance(body.query, Select):
        query = body.query
        if query.source is not None and not (query.order or query.tail or query.limit or query.group):
            for place in range(min(len(query.items), 4)):
                for descending in (False, True):
                    order = (OrderKey(Raw(str(place + 1)), descending),)
                    yield replace(statement, body=replace(body, query=replace(query, order=order)))


def nested(statement: Part) -> Iterator[Part]:
    """DISTINCT of constants, limited from outside: MariaDB 10.11 forgets the OFFSET of such a query, since it has one row."""
    ordered = isinstance(statement, Select) and (statement.order or statement.tail)
    if isinstance(statement, Select) and statement.distinct and statement.limit is not None and not ordered:
        inner = Derived(replace(statement, limit=None), "whole")
        yield Select((Star("*", ()),), inner, limit=statement.limit)


def inner(statement: Part) -> Iterator[Part]:
    """The statement with inner joins in place of one of its outer joins, and of all, in other orders too: a server makes them of
    outer ones where conditions refuse the rows without a partner."""
    for other in (*_one_inner(statement), _inner(statement)):
        if other != statement:
            yield other
            yield from join_orders(other)
            yield from reordered(other)


def _one_inner(part: Part) -> Iterator[Part]:
    """The part with one of its outer joins an inner one, each in turn."""
    if isinstance(part, Join) and part.kind.startswith(_OUTER):
        yield replace(part, kind="JOIN")
    yield from _with_another(part, _one_inner)


def _inner(part: Part) -> Part:
    if isinstance(part, Join) and part.kind.startswith(_OUTER):
        part = replace(part, kind="JOIN")
    return _of_parts(part, _inner)


def join_orders(statement: Part) -> Iterator[Part]:
    """The statement with its inner joins in other orders, a few of them."""
    for other in islice(_orders(statement), _MOST_ORDERS):
        if other != statement:
            yield other


def _orders(part: Part) -> Iterator[Part]:
    """The part with one of its joins in another order, each in turn."""
    if isinstance(part, Join) and part.kind in _INNER and not isinstance(part.on, Raw):
        forced = replace(part, kind="STRAIGHT_JOIN")
        yield forced
        bracket = isinstance(part.left, Join)
        yield replace(forced, left=part.right, right=part.left, bracket=bracket)
    yield from _with_another(part, _orders)


def _with_another(part: Part, others: Callable[[Part], Iterator[Part]]) -> Iterator[Part]:
    """The part with one of the parts in it changed, in each of these ways."""
    for entry in dataclasses.fields(part):  # type: ignore[arg-type]
        value = getattr(part, entry.name)
        if isinstance(value, Part):
            changed: Iterator[Any] = others(value)
        elif isinstance(value, tuple):
            changed = (
                (*value[:place], other, *value[place + 1 :])
                for place, member in enumerate(value)
                if isinstance(member, Part)
                for other in others(member)
            )
        else:
            continue
        for one in changed:
            yield replace(part, **{entry.name: one})  # type: ignore[type-var]


def _tables(part: Part) -> int:
    return isinstance(part, TableRef) + sum(
        _tables(piece) for piece in part.spell() if isinstance(piece, Part)
    )


def told_of_columns(mesh: Answer, told: Sequence[Answer]) -> bool:
    """Whether each part of every column definition is as one of these answers has it."""
    return all(
        _told(ours, theirs)
        for ours, *theirs in zip(mesh.columns, *(one.columns for one in told), strict=True)
    )


def _told(ours: bytes, theirs: Sequence[bytes]) -> bool:
    mesh, plain = vars(read_definition(ours)), [vars(read_definition(packet)) for packet in theirs]
    foreign = [part for part, value in mesh.items() if all(value != other[part] for other in plain)]
    # Flags are parts of their own.
    return not foreign or (
        foreign == ["flags"] and not any(_foreign_flags(mesh["flags"], [other["flags"] for other in plain]))
    )


def _foreign_flags(mesh: int, plain: Sequence[int]) -> Iterator[int]:
    for bit in range(16):
        if all((mesh ^ flags) >> bit & 1 for flags in plain):
            yield bit
