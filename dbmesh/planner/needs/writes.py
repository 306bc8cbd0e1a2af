"""What INSERT, REPLACE, UPDATE and DELETE need beside what they read.

Decides which columns are written. Knows no accounts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from dbmesh.planner.context import PlanContext
from dbmesh.planner.insert import as_insert
from dbmesh.planner.insert_reading import InsertReading, read_insert
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.needs.need import Need
from dbmesh.planner.needs.reads import Reading, Source
from dbmesh.rules.privileges import Privilege
from dbmesh.sql.parse import parse

_QUERY_WORDS = ("SELECT", "TABLE", "WITH", "NEXT", "NEXTVAL", "PREVIOUS", "LASTVAL", "SETVAL")


def update_needs(reading: Reading, tree: exp.Update) -> Iterator[Need]:
    """What an UPDATE needs."""
    written: dict[int, tuple[Source, list[str]]] = {}
    for assignment in tree.expressions:
        target = assignment.this
        if not isinstance(target, exp.Column):
            continue
        for source in reading.write_column(target):
            source.is_target = True
            written.setdefault(id(source), (source, []))[1].append(target.name)
    reading.read_columns()
    for source, columns in written.values():
        yield source.need(Privilege.UPDATE, columns)
    yield from reading.needs()


def delete_needs(reading: Reading, tree: exp.Delete) -> Iterator[Need]:
    """What a DELETE needs."""
    names = {target.name.lower() for target in tree.args.get("tables") or ()}
    here = [source for source in reading.sources if source.scope is tree]
    targets = [source for source in here if source.alias.lower() in names] if names else here[:1]
    reading.read_columns()
    for source in targets:
        source.is_target = True
        if source.is_table:
            yield Need(Privilege.DELETE, source.database, source.table)
    yield from reading.needs()


def insert_needs(context: PlanContext) -> Iterator[Need]:
    """What an INSERT or REPLACE needs."""
    reader = LexemeReader(context.statement.readable)
    read = read_insert(reader)
    behind = read.table.end if read.set_form else read.columns_end
    tail = [lexeme for lexeme in reader.lexemes if lexeme.start >= behind]
    updated = [column for column, _ in read.updates]
    if read.rows and not any(lexeme.word in _QUERY_WORDS for lexeme in tail):
        # No other table, and no tree is needed for that.
        reading = Reading(context, exp.Select(), ())
        target = reading.source(read.table.database, read.table.name, read.table.name, None)
        reading.sources.append(target)
        _read_values(target, read, tail)
    else:
        tree = parse(as_insert(context))
        reading = Reading(context, tree, tail)
        [target, *_] = [source for source in reading.sources if source.scope is tree] or [
            reading.source(read.table.database, read.table.name, read.table.name, tree)
        ]
        updated = [one.this.name for one in _conflict(tree) if isinstance(one.this, exp.Column)]
        for position in _assigned_positions(tail):
            reading.explain(position)
        reading.read_columns()
    target.is_target = True
    yield from _target_needs(target, read, updated)
    yield from reading.needs()


def _conflict(tree: exp.Expr) -> Sequence[exp.Expr]:
    """The assignments of ON DUPLICATE KEY UPDATE."""
    conflict = tree.args.get("conflict")
    return () if conflict is None else conflict.expressions


def _target_needs(target: Source, read: InsertReading, updated: Sequence[str]) -> Iterator[Need]:
    if not target.is_table:
        return
    columns: Sequence[str] | None = read.columns
    if not columns:
        columns = None if target.schema is None else [one.name for one in target.schema.visible_columns]
    yield target.need(Privilege.INSERT, columns)
    if read.replaces:
        yield Need(Privilege.DELETE, target.database, target.table)
    if updated:
        yield target.need(Privilege.UPDATE, updated)


def _read_values(target: Source, read: InsertReading, tail: Sequence[Lexeme]) -> None:
    """A column named in a value, an update or RETURNING is read; VALUES(column) is the client's own value."""
    if read.returning and any(lexeme.text == "*" for lexeme in tail[_returning(tail) :]):
        target.reads_all = True
    skipped = _assigned_positions(tail)
    for at, lexeme in enumerate(tail):
        if lexeme.kind not in (Kind.WORD, Kind.QUOTED) or lexeme.start in skipped:
            continue
        following = tail[at + 1].text if at + 1 < len(tail) else ""
        if (following == "(" and lexeme.kind is Kind.WORD) or following == ".":
            continue
        if target.schema is not None and target.schema.column(lexeme.value) is not None:
            target.read(lexeme.value)


def _returning(tail: Sequence[Lexeme]) -> int:
    return next((at for at, lexeme in enumerate(tail) if lexeme.word == "RETURNING"), len(tail))


def _assigned_positions(tail: Sequence[Lexeme]) -> set[int]:
    """Where names stand that are written: before the `=` of SET and ON DUPLICATE KEY UPDATE, and in VALUES(column)."""
    found: set[int] = set()
    depth = 0
    may_begin = False
    for at, lexeme in enumerate(tail):
        if lexeme.kind is Kind.MARK:
            depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        if lexeme.word == "VALUES" and [one.text for one in tail[at + 1 : at + 4 : 2]] == ["(", ")"]:
            found.add(tail[at + 2].start)
        if depth == 0 and may_begin and lexeme.kind in (Kind.WORD, Kind.QUOTED):
            last = at
            while tail[last + 1 : last + 2] and tail[last + 1].text == ".":
                last += 2
            if tail[last + 1 : last + 2] and tail[last + 1].text in ("=", ":="):
                found.add(tail[last].start)
        may_begin = lexeme.word in ("SET", "UPDATE") or (lexeme.kind is Kind.MARK and lexeme.text == ",")
    return found
