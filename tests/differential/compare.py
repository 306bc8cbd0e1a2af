"""When two answers are equal: everything byte for byte but what SQL leaves open, which the statement's tree tells.

Decides equality and the names of differences. Asks no server.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.differential.client import Answer, Cell, Prepared, read_definition
from tests.differential.schema import Check, Type
from tests.differential.tree import (
    ColumnRef,
    Compound,
    Delete,
    Executed,
    Insert,
    Item,
    Part,
    Select,
    Star,
    Values,
    Write,
)

# Differences of these kinds leave every value as it should be.
METADATA = frozenset(
    f"columns.{part}" for part in ("type", "flags", "decimals", "charset", "length", "table", "origin")
)


def leaves_values(kind: str) -> bool:
    """Whether the rows, counts and errors are right in spite of such a difference."""
    kind = kind.removeprefix("stored ")
    return kind.startswith(("prepare: ", "warnings.")) or kind in METADATA | {"columns.name", "info"}


@dataclass(frozen=True)
class Difference:
    """One part of an answer that is not the same on both sides."""

    kind: str
    mesh: str
    plain: str


@dataclass(frozen=True)
class Expectation:
    """What the statement leaves open.

    `checks`: one for each result column; none means that all are exact. `total`: its rows have one order. Else `keys` are the result columns it is ordered by, most significant first.
    `cut`: a LIMIT chooses among rows that nothing tells apart. `members`: the result columns that together must occur
    in a row of the ungrouped query, where one of them is any value of its group.
    """

    checks: tuple[Check, ...] = ()
    total: bool = False
    keys: tuple[int, ...] = ()
    cut: bool = False
    members: tuple[int, ...] = ()

    @property
    def chooses(self) -> bool:
        """Whether the answer is compared with the rows it was chosen from."""
        return self.cut or bool(self.members)


def output_types(query: Part) -> list[Type]:
    """The types of a query's result columns, with what is open about them."""
    if isinstance(query, Compound):
        left, right = output_types(query.left), output_types(query.right)
        merged = [
            a if a.check is not Check.EXACT else replace(a, check=b.check)
            for a, b in zip(left, right, strict=False)
        ]
        if query.operator == "UNION ALL":
            return merged
        return [
            a.grouped() if a.folds else replace(a, check=b.grouped().check) if a.check is Check.EXACT else a
            for a, b in zip(merged, right, strict=False)
        ]
    items: Sequence[Part] = ()
    if isinstance(query, Select):
        items = query.items
    elif isinstance(query, Insert | Delete):
        items = query.returning
    elif isinstance(query, Values):
        return [member.type for member in query.rows[0].members]  # type: ignore[attr-defined]
    types: list[Type] = []
    for item in items:
        types += item.types if isinstance(item, Star) else [item.type] if isinstance(item, Item) else []
    if isinstance(query, Select) and query.distinct:
        return [type_.grouped() for type_ in types]
    return types


_OPEN_IN_ORDER = frozenset((Check.PARTS, Check.PARTS_SPELLING, Check.ELEMENTS, Check.MEMBER))


def expect(statement: Part) -> Expectation:
    """What a statement leaves open."""
    if isinstance(statement, Write):
        return expect(statement.body)
    if isinstance(statement, Executed):
        return expect(statement.query)
    checks = tuple(type_.check for type_ in output_types(statement))
    if not isinstance(statement, Select | Compound):
        return Expectation(checks)
    if Check.MEMBER in checks:
        assert isinstance(statement, Select)
        return Expectation(checks, members=tuple(_member_places(statement)))
    # What the first keys hold may be open itself.
    total = statement.tail is not None and not any(
        key.item is not None and key.item < len(checks) and checks[key.item] in _OPEN_IN_ORDER
        for key in statement.order
    )
    keys: list[int] = []
    for key in () if total else statement.order:
        if (
            key.item is None
            or key.item >= len(checks)
            or checks[key.item] not in (Check.EXACT, Check.SPELLING)
        ):
            break
        keys.append(key.item)
    single = isinstance(statement, Select) and statement.single
    limited = statement.limit is not None
    return Expectation(checks, total, tuple(keys), limited and not total and not single)


def _member_places(statement: Select) -> list[int]:
    return [
        n
        for n, item in enumerate(statement.items)
        if isinstance(item, Item) and isinstance(item.body, ColumnRef)
    ]


def unlimited(statement: Part) -> Part:
    """The same query with all its rows: without LIMIT, or without the groups whose members are looked for."""
    if isinstance(statement, Executed):
        statement = statement.query
    assert isinstance(statement, Select | Compound)
    if Check.MEMBER in expect(statement).checks:
        assert isinstance(statement, Select)
        items = tuple(statement.items[place] for place in _member_places(statement))
        return Select(items, statement.source, statement.where)
    return replace(statement, limit=None)


_REPEATED = re.compile(r"(.)\1+")


def fold(cell: Cell) -> Cell:
    """A text as the coarsest collation sees it: no case, accents, padding, doubled letters, or letters beyond 16 bits."""
    if cell is None:
        return None
    decomposed = unicodedata.normalize("NFKD", cell.decode("utf-8", "surrogateescape").casefold())
    plain = "".join(
        "\ufffd" if ord(letter) > 0xFFFF else letter
        for letter in decomposed
        if not unicodedata.combining(letter)
    )
    return _REPEATED.sub(r"\1", plain.rstrip(" ")).encode("utf-8", "surrogateescape")


def _parts(cell: Cell, spelling: bool) -> Cell:
    if cell is None:
        return None
    parts = cell.split(b"|")
    return b"|".join(sorted(fold(part) or b"" for part in parts) if spelling else sorted(parts))


def _elements(cell: Cell) -> Cell:
    if cell is None:
        return None
    # MariaDB puts texts of other character sets in as they are.
    text = cell.decode("utf-8", "surrogateescape")
    elements = json.loads(text, object_pairs_hook=list, strict=False)
    return "|".join(sorted(json.dumps(element) for element in elements)).encode()


def _normalized(cell: Cell, check: Check) -> Cell:
    if check is Check.SPELLING:
        return fold(cell)
    if check in (Check.PARTS, Check.PARTS_SPELLING):
        return _parts(cell, check is Check.PARTS_SPELLING)
    if check is Check.ELEMENTS:
        return _elements(cell)
    if check is Check.MEMBER:
        return b""
    return cell


Row = tuple[Cell, ...]


def _rows(answer: Answer, checks: Sequence[Check]) -> list[Row]:
    rows = answer.cells()
    if all(check in (Check.EXACT, Check.APPROXIMATE) for check in checks):
        return rows
    return [tuple(_normalized(cell, check) for cell, check in zip(row, checks, strict=True)) for row in rows]


def _close(left: Cell, right: Cell) -> bool:
    if left == right:
        return True
    if left is None or right is None:
        return False
    return math.isclose(float(left), float(right), rel_tol=1e-12, abs_tol=1e-12)


def _same_row(left: Row, right: Row, checks: Sequence[Check]) -> bool:
    return all(
        a == b or (check is Check.APPROXIMATE and _close(a, b))
        for a, b, check in zip(left, right, checks, strict=True)
    )


def _in_a_fixed_order(rows: list[Row], checks: Sequence[Check]) -> list[Row]:
    def key(row: Row) -> tuple[object, ...]:
        exact = tuple(
            (cell is not None, cell or b"")
            for cell, check in zip(row, checks, strict=True)
            if check is not Check.APPROXIMATE
        )
        loose = tuple(
            (cell is not None, float(cell or 0))
            for cell, check in zip(row, checks, strict=True)
            if check is Check.APPROXIMATE
        )
        return exact, loose

    return sorted(rows, key=key)


def _first_difference(mesh: Sequence[object], plain: Sequence[object]) -> tuple[str, str]:
    for number, (left, right) in enumerate(zip(mesh, plain, strict=False)):
        if left != right:
            return f"row {number} of {len(mesh)}: {left}", f"row {number} of {len(plain)}: {right}"
    longer = mesh if len(mesh) > len(plain) else plain
    extra = f"; row {min(len(mesh), len(plain))} is {longer[min(len(mesh), len(plain))]}"
    return (
        f"{len(mesh)} rows{extra if longer is mesh else ''}",
        f"{len(plain)} rows{extra if longer is plain else ''}",
    )


def _compare_rows(
    mesh: Answer, plain: Answer, expected: Expectation, all_rows: Answer | None
) -> list[Difference]:
    if mesh.rows == plain.rows and not expected.cut:
        return []
    if expected.members and all_rows is not None:
        foreign = _projected(mesh, expected) - _projected(
            all_rows, replace(expected, members=tuple(range(len(all_rows.columns))))
        )
        if foreign:
            return [Difference("rows", f"{next(iter(foreign))}", "no row of the group has these")]
    checks = expected.checks
    left, right = _rows(mesh, checks), _rows(plain, checks)
    if expected.cut and all_rows is not None:
        return _compare_cut(left, right, _rows(all_rows, checks), expected)
    if expected.total:
        if len(left) == len(right) and all(_same_row(a, b, checks) for a, b in zip(left, right, strict=True)):
            return []
        bags = _in_a_fixed_order(left, checks), _in_a_fixed_order(right, checks)
        kind = (
            "order"
            if len(left) == len(right) and all(_same_row(a, b, checks) for a, b in zip(*bags, strict=True))
            else "rows"
        )
        return [Difference(kind, *_first_difference(left, right))]
    sorted_left, sorted_right = _in_a_fixed_order(left, checks), _in_a_fixed_order(right, checks)
    if len(left) != len(right) or not all(
        _same_row(a, b, checks) for a, b in zip(sorted_left, sorted_right, strict=True)
    ):
        return [Difference("rows", *_first_difference(sorted_left, sorted_right))]
    return _compare_keys(left, right, expected)


def _compare_keys(left: list[Row], right: list[Row], expected: Expectation) -> list[Difference]:
    # The same multiset: then the order is right exactly when the keys come in the same order.
    if not expected.keys:
        return []
    mesh = [tuple(fold(row[key]) for key in expected.keys) for row in left]
    plain = [tuple(fold(row[key]) for key in expected.keys) for row in right]
    return [] if mesh == plain else [Difference("order", *_first_difference(mesh, plain))]


def _compare_cut(
    left: list[Row], right: list[Row], every: list[Row], expected: Expectation
) -> list[Difference]:
    if len(left) != len(right):
        return [Difference("rows", f"{len(left)} rows", f"{len(right)} rows")]
    if Check.APPROXIMATE not in expected.checks:
        foreign = Counter(left) - Counter(every)
        # Where plain's own rows are not among them, MariaDB ran the two statements differently.
        if foreign and not Counter(right) - Counter(every):
            return [Difference("rows", f"{next(iter(foreign))}", "no such row without LIMIT")]
    return _compare_keys(left, right, expected)


def _projected(answer: Answer, expected: Expectation) -> set[Row]:
    # Folded, so that any spelling of a group's key is found.
    return {tuple(fold(row[place]) for place in expected.members) for row in answer.cells()}


_FIELDS = {
    "columns.name": ("name",),
    "columns.type": ("type",),
    "columns.flags": ("flags",),
    "columns.decimals": ("decimals",),
    "columns.charset": ("charset",),
    "columns.length": ("length",),
    "columns.table": ("schema", "table"),
    "columns.origin": ("org_table", "org_name"),
}


def compare_columns(mesh: Sequence[bytes], plain: Sequence[bytes], prefix: str = "") -> list[Difference]:
    """The first difference of each kind in the column definitions."""
    if mesh == plain:
        return []
    if len(mesh) != len(plain):
        return [Difference(f"{prefix}columns.count", str(len(mesh)), str(len(plain)))]
    pairs = [(read_definition(a), read_definition(b)) for a, b in zip(mesh, plain, strict=True)]
    found: list[Difference] = []
    for kind, fields in _FIELDS.items():
        for left, right in pairs:
            ours, theirs = [getattr(left, f) for f in fields], [getattr(right, f) for f in fields]
            if ours != theirs:
                name = right.name.decode("utf-8", "replace")
                found.append(Difference(prefix + kind, f"{name}: {ours}", f"{name}: {theirs}"))
                break
    return found


def compare_prepared(mesh: Prepared, plain: Prepared) -> list[Difference]:
    """What PREPARE said."""
    found = compare_columns(mesh.columns, plain.columns, "prepare: ")
    if mesh.parameters != plain.parameters:
        found.append(Difference("prepare: parameters", str(mesh.parameters), str(plain.parameters)))
    return found


def compare(
    mesh: Answer, plain: Answer, expected: Expectation, all_rows: Answer | None = None
) -> list[Difference]:
    """Everything that differs. `all_rows` is plain's answer without LIMIT where the statement is `cut`."""
    if mesh.error or plain.error:
        return _compare_errors(mesh, plain)
    if len(expected.checks) != len(plain.columns):
        # A statement of no query's form, or one cut down below a `*`.
        expected = replace(expected, checks=(Check.EXACT,) * len(plain.columns))
    found = compare_columns(mesh.columns, plain.columns)
    if not any(difference.kind == "columns.count" for difference in found):
        found += _compare_rows(mesh, plain, expected, all_rows)
    for kind in ("affected", "insert_id"):
        left, right = getattr(mesh, kind), getattr(plain, kind)
        if left != right:
            found.append(Difference(kind, str(left), str(right)))
    if mesh.info != plain.info:
        found.append(Difference("info", str(mesh.info), str(plain.info)))
    return found + _compare_warnings(mesh, plain)


def compare_rows(
    mesh: Answer, plain: Answer, expected: Expectation, all_rows: Answer | None = None
) -> list[Difference]:
    """Errors and rows alone: for cursors, whose columns and warnings are those of the temporary table that a server makes
    of its rows."""
    return [
        difference
        for difference in compare(mesh, plain, expected, all_rows)
        if not leaves_values(difference.kind)
    ]


def _compare_errors(mesh: Answer, plain: Answer) -> list[Difference]:
    if (mesh.error or ())[:2] == (plain.error or ())[:2]:
        return []
    kind = "error" if mesh.error and plain.error else "unexpected error" if mesh.error else "missing error"
    return [Difference(kind, str(mesh.error), str(plain.error))]


# The one warning that the mesh adds: data sources commit one after another.
_NOT_ATOMIC = re.compile(rb"dbmesh: committed one after another on [\w., ]+: not atomic\Z")


def without_not_atomic(mesh: Answer) -> Answer:
    """The answer as if the mesh had not said that its write was not atomic, which it says last; the same answer when it
    does not say so."""
    *others, last = mesh.shown or (None,)
    if last is None or last[1] != b"1196" or not _NOT_ATOMIC.match(last[2] or b""):
        return mesh
    return replace(mesh, shown=tuple(others), warnings=mesh.warnings - 1)


_WARNINGS = re.compile(rb"(?<=Warnings: )\d+")


def without_count(info: bytes) -> bytes:
    """The text behind an OK without its number of warnings, and without the byte that tells its length."""
    return _WARNINGS.sub(b"", info[1:])


def _compare_warnings(mesh: Answer, plain: Answer) -> list[Difference]:
    if mesh.warnings != plain.warnings:
        return [
            Difference(
                "warnings.count", f"{mesh.warnings} {mesh.shown[:2]}", f"{plain.warnings} {plain.shown[:2]}"
            )
        ]
    if sorted(map(repr, mesh.shown)) != sorted(map(repr, plain.shown)):
        return [
            Difference(
                "warnings.text",
                *_first_difference(sorted(map(repr, mesh.shown)), sorted(map(repr, plain.shown))),
            )
        ]
    return []
