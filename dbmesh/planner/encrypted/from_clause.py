"""What a SELECT, UPDATE or DELETE takes rows from: its sources with their columns, and what USING and NATURAL JOIN make of these.

Decides the order of the columns that `*` stands for. Knows neither rules nor texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from dbmesh.planner.resolve import TableReference
from dbmesh.rules.encryption.rule import EncryptedColumn


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A column of a source. `column` is the encrypted column under the names that the source gives it, None for every other one; `base`
    is that column as the rules have it, `keys` the flags that its keys give it. `output`: that of the derived table it is;
    `reference`: the table it is of. `alias` qualifies it."""

    name: str
    column: EncryptedColumn | None = None
    base: EncryptedColumn | None = None
    keys: int = 0
    output: object = None
    reference: TableReference | None = None
    alias: str = ""
    visible: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One of the things that FROM lists. `fields` is None where they are not known. `hides`: servers have other columns in it than
    clients."""

    alias: str
    database: str
    fields: tuple[Field, ...] | None
    hides: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Merge:
    """Columns that a join makes one, from both its sides, None where that is not certain; `certain`: those of the left are meant by
    their names without a qualifier."""

    join: exp.Join
    pairs: tuple[tuple[Field, Field], ...] | None
    certain: bool


@dataclass(slots=True, eq=False)
class FromClause:
    """`columns`: what can be named without a qualifier, as far as that is known, in the order of `*`."""

    sources: list[Source] = field(default_factory=list)
    columns: list[Field] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)

    @property
    def knows_all(self) -> bool:
        """Whether the columns of all sources are known."""
        return all(one.fields is not None for one in self.sources)

    @property
    def hides(self) -> bool:
        """Whether servers have other columns in a source than clients."""
        return any(one.hides or any(each.column for each in one.fields or ()) for one in self.sources)

    def has(self, name: str) -> bool:
        """Whether a qualifier is one of these sources."""
        return any(one.alias.lower() == name.lower() for one in self.sources)

    def knows(self, name: str) -> bool:
        """Whether the columns of the sources of this name are known."""
        return all(one.fields is not None for one in self.sources if one.alias.lower() == name.lower())

    def named(self, node: exp.Column) -> list[Field]:
        """The columns that a name can mean."""
        name = node.name.lower()
        if not node.table:
            return [one for one in self.columns if one.name.lower() == name]
        owners = self._qualified(node)
        return [one for owner in owners for one in owner.fields or () if one.name.lower() == name]

    def _qualified(self, node: exp.Column) -> list[Source]:
        database = node.db.lower()
        found = [
            one
            for one in self.sources
            if one.alias.lower() == node.table.lower() and database in ("", one.database.lower())
        ]
        return [one for one in found if one.alias == node.table] or found

    def all_of(self, star: exp.Column) -> list[Field] | None:
        """The columns of `t.*`, None where they are not known."""
        owners = self._qualified(star)
        if len(owners) != 1 or owners[0].fields is None:
            return None
        return [one for one in owners[0].fields if one.visible]

    def all(self) -> list[Field] | None:
        """The columns of `*`, None where they are not certain."""
        if not self.knows_all or any(not merge.certain for merge in self.merges):
            return None
        return [one for one in self.columns if one.visible]


def read_from(scope: exp.Expr, source_of: Callable[[exp.Expr], Source]) -> FromClause:
    """The FROM clause of a statement. O(columns)."""
    using = scope.args.get("using")
    first: list[exp.Expr] = []
    if isinstance(scope, exp.Select):
        start = scope.args.get("from_")
        first = [start.this] if start is not None else []
    elif isinstance(scope, exp.Delete) and isinstance(using, list):
        first = list(using)
    elif isinstance(scope, exp.Update | exp.Delete | exp.Insert):
        target = scope.this.this if isinstance(scope.this, exp.Schema) else scope.this
        more = scope.args.get("from_")
        first = [target, *([more.this] if isinstance(more, exp.From) else [])]
    clause = FromClause()
    for node in first:
        part = _part(node, source_of)
        clause.sources += part.sources
        clause.columns += part.columns
        clause.merges += part.merges
    return _joined(clause, scope.args.get("joins") or (), source_of)


def _part(node: exp.Expr, source_of: Callable[[exp.Expr], Source]) -> FromClause:
    leaf = node
    while isinstance(leaf, exp.Subquery):
        leaf = leaf.this
    if isinstance(node, exp.Subquery) and isinstance(leaf, exp.Table):
        # A join in brackets.
        clause = _part(node.this, source_of)
    else:
        source = source_of(node)
        clause = FromClause([source], list(source.fields or ()))
    return _joined(clause, node.args.get("joins") or (), source_of)


def _joined(
    left: FromClause, joins: Sequence[exp.Join], source_of: Callable[[exp.Expr], Source]
) -> FromClause:
    for join in joins:
        left = _join(left, join, _part(join.this, source_of))
    return left


def _join(left: FromClause, join: exp.Join, right: FromClause) -> FromClause:
    both = FromClause([*left.sources, *right.sources], [], [*left.merges, *right.merges])
    names = {one.name.lower() for one in join.args.get("using") or ()}
    natural = str(join.method).upper() == "NATURAL"
    if natural:
        names = {one.name.lower() for one in left.columns if one.visible} & {
            one.name.lower() for one in right.columns if one.visible
        }
    if not names and not natural:
        both.columns = [*left.columns, *right.columns]
        return both
    pairs = [
        (_one(left, one.name), _one(right, one.name)) for one in left.columns if one.name.lower() in names
    ]
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    certain = (
        len(known) == len(names)
        and left.knows_all
        and right.knows_all
        and str(join.side).upper() in ("", "LEFT")
    )
    both.merges.append(Merge(join, tuple(known) if len(known) == len(names) else None, certain))
    merged = [one for one, _ in known]
    taken = {id(one) for pair in known for one in pair}
    both.columns = merged + [one for one in (*left.columns, *right.columns) if id(one) not in taken]
    return both


def _one(clause: FromClause, name: str) -> Field | None:
    found = [one for one in clause.columns if one.name.lower() == name.lower()]
    return found[0] if len(found) == 1 else None
