"""Foreign keys that no server could keep, because parent and child rows are on different data nodes.

Decides which ones these are, what stands in their place in the text for the servers (the index they would have made), and which
of them are declared from then on: they are shown as one server would show them, and nobody enforces them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dbmesh.errors import KEY_IS_NEEDED, MeshError
from dbmesh.planner.alter_reading import alter_clauses, read_key_changes
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_places import DdlTable
from dbmesh.planner.ddl_reading import AlterTable, NamePlace
from dbmesh.planner.elsewhere import database_of
from dbmesh.planner.lexemes import Lexeme, LexemeReader
from dbmesh.planner.table_definition import ForeignKey, TableDefinition, read_foreign_key, read_symbol
from dbmesh.planner.template import Edits, quote_name
from dbmesh.rules.declared_keys import (
    free_names,
    with_columns_renamed,
    with_declared,
    with_tables_renamed,
)
from dbmesh.rules.ruleset import DeclaredKey, DeclaredKeys, ShardedTable


def keeps_foreign_key(context: PlanContext, table: DdlTable, key: ForeignKey) -> bool:
    """Whether the servers can keep a foreign key: the rows it refers to are all beside its own."""
    # Without a database the table is beside the one that refers to it, whatever the current database is.
    database = database_of(context, key.database or context.rule_set.database, key.table)
    foreign = context.rule_set.key(database, key.table)
    rule = context.rule_set.table(foreign)
    if isinstance(table.rule, ShardedTable):
        return rule is not None and not isinstance(rule, ShardedTable)
    if rule is None:
        node = context.catalog.single_nodes.get(foreign)
        return node is None or node.data_source == table.nodes[0].data_source
    return not isinstance(rule, ShardedTable)


def foreign_warning(name: str, key: ForeignKey) -> str:
    """What a client is told of a foreign key its servers do not get."""
    fate = "shown and not enforced" if key.columns else "left out"
    return f"dbmesh: the foreign key from '{name}' to '{key.table}' is {fate}: their rows are on different data nodes"


def outside(places: Sequence[NamePlace], keys: Sequence[ForeignKey]) -> tuple[NamePlace, ...]:
    """The names that are not part of these foreign keys."""
    return tuple(place for place in places if not any(key.start <= place.start < key.end for key in keys))


# ---------------------------------------------------------------------------------------------- CREATE TABLE


def drop_foreign_keys(
    edits: Edits, lexemes: LexemeReader, keys: Sequence[ForeignKey], definition: TableDefinition
) -> None:
    """Put the index in the place of each foreign key of a CREATE TABLE."""
    for key in keys:
        if key.columns and not definition.has_index_for(key):
            edits.replace(key.start, key.end, key.index)
            continue
        start = key.start
        if key.columns:
            start = next(lexeme.start for lexeme in reversed(lexemes.lexemes) if lexeme.end <= start)
        edits.replace(start, key.end)


def declared_by_create(
    context: PlanContext, name: str, keys: Sequence[ForeignKey], definition: TableDefinition | None
) -> tuple[DeclaredKeys, ...]:
    """What the foreign keys its servers do not get leave behind. What a table of that name had is gone."""
    if definition is None or not keys:
        return (DeclaredKeys(name),) if name.lower() in context.rule_set.declared else ()
    # Keys without a name that the servers get are given the first ones.
    kept = [key for key in definition.foreign_keys if key not in keys and not key.symbol]
    names = free_names(name, (f"{name}_ibfk_{len(kept)}",))
    return (
        DeclaredKeys(
            name,
            tuple(
                _declared(context, name, key, names, definition.primary_key) for key in keys if key.columns
            ),
        ),
    )


def _declared(
    context: PlanContext,
    table: str,
    key: ForeignKey,
    names: Iterator[str],
    own_primary: Sequence[str] | None = None,
) -> DeclaredKey:
    own = key.database is None or key.database.lower() == context.rule_set.database.lower()
    referenced: Sequence[str] = key.referenced
    if not referenced and own and key.table.lower() == table.lower() and own_primary:
        referenced = own_primary
    if not referenced:
        database = database_of(context, key.database or context.rule_set.database, key.table)
        schema = context.catalog.table(context.rule_set.key(database, key.table))
        referenced = schema.primary_key if schema is not None else ()
    return DeclaredKey(
        key.symbol or next(names),
        key.columns,
        key.table,
        tuple(referenced),
        "" if own else key.database or "",
        key.on_delete,
        key.on_update,
    )


# ---------------------------------------------------------------------------------------------- ALTER TABLE


@dataclass(frozen=True, slots=True)
class AlteredKeys:
    """What an ALTER TABLE means for foreign keys that no server has: the statement's edits so far, the names in its text
    that are left, what the client is told, and what is declared afterwards."""

    edits: Edits
    references: tuple[NamePlace, ...]
    symbols: tuple[NamePlace, ...]
    warnings: tuple[str, ...]
    declared: tuple[DeclaredKeys, ...]


def alter_keys(context: PlanContext, read: AlterTable, table: DdlTable) -> AlteredKeys:
    """Reads the clauses of an ALTER TABLE. Raises MeshError(KEY_IS_NEEDED) when a column of such a key would go."""
    edits = context.edits()
    known = context.rule_set.declared.get(table.name.lower(), DeclaredKeys(table.name)).keys
    statement = context.statement.readable
    clauses = alter_clauses(statement)
    added: list[ForeignKey] = []
    removed: list[int] = []
    gone: set[str] = set()
    for number, clause in enumerate(clauses):
        key = _added_key(statement, clause)
        if key is not None and not keeps_foreign_key(context, table, key):
            added.append(key)
            if _has_index(context, table, key):
                removed.append(number)
            else:
                edits.replace(key.start, key.end, key.index)
            continue
        name = _dropped_name(statement, clause)
        if name in {one.name.lower() for one in known}:
            gone.add(name)
            removed.append(number)
    _remove(edits, clauses, removed)
    left = [key for key in known if key.name.lower() not in gone]
    names = free_names(table.name, [key.name for key in known])
    own = DeclaredKeys(table.name, (*left, *(_declared(context, table.name, key, names) for key in added)))
    spans = [(clauses[number][0].start, clauses[number][-1].end) for number in removed]
    return AlteredKeys(
        edits,
        outside(read.references, added),
        tuple(
            place
            for place in outside(read.symbols, added)
            if not any(start <= place.start < end for start, end in spans)
        ),
        tuple(foreign_warning(table.name, key) for key in added),
        _after(context, read, table, own, left),
    )


def _after(
    context: PlanContext, read: AlterTable, table: DdlTable, own: DeclaredKeys, left: Sequence[DeclaredKey]
) -> tuple[DeclaredKeys, ...]:
    """What is declared when columns and the table have their new names."""
    rule_set = context.rule_set
    if not own.keys and not rule_set.declared:
        return ()
    names = read_key_changes(context.statement.readable).renamed
    for column in read.gone:
        needed = next((key for key in left if column.lower() in map(str.lower, key.columns)), None)
        if column.lower() not in names and needed is not None:
            raise MeshError(KEY_IS_NEEDED, key=index_name(table.name, needed))
    changed = with_columns_renamed(rule_set, table.name, own, names)
    if read.renamed_to is None:
        return changed
    following = with_declared(rule_set, changed)
    renamed = with_tables_renamed(following, {table.name.lower(): read.renamed_to.name})
    return tuple({one.table.lower(): one for one in (*changed, *renamed)}.values())


def _added_key(statement: str, clause: Sequence[Lexeme]) -> ForeignKey | None:
    """The foreign key of ADD [CONSTRAINT [name]] FOREIGN KEY …"""
    reader = LexemeReader(statement, clause)
    if not reader.accept("ADD") or reader.at_end:
        return None
    start = reader.peek().start
    if not reader.looks_at("CONSTRAINT") and not reader.looks_at("FOREIGN", "KEY"):
        return None
    symbol = read_symbol(reader)
    return read_foreign_key(reader, start, symbol) if reader.looks_at("FOREIGN") else None


def _dropped_name(statement: str, clause: Sequence[Lexeme]) -> str:
    """The name in DROP FOREIGN KEY | CONSTRAINT [IF EXISTS] name, in lower case; '' in any other clause."""
    reader = LexemeReader(statement, clause)
    if not reader.accept("DROP", "FOREIGN", "KEY") and not reader.accept("DROP", "CONSTRAINT"):
        return ""
    reader.accept("IF", "EXISTS")
    return reader.expect_name().value.lower()


def _has_index(context: PlanContext, table: DdlTable, key: ForeignKey) -> bool:
    """Whether an index that is there begins with the columns: a server makes no other then."""
    schema = context.catalog.table(table.name)
    wanted = [column.lower() for column in key.columns]
    present = () if schema is None else (schema.primary_key, *schema.unique_keys, *schema.indexes)
    return any([column.lower() for column in columns[: len(wanted)]] == wanted for columns in present)


def _remove(edits: Edits, clauses: Sequence[Sequence[Lexeme]], removed: Sequence[int]) -> None:
    """Take clauses out of the list, each with one comma. A list of none is a statement that changes nothing."""
    first_kept = next((number for number in range(len(clauses)) if number not in removed), len(clauses))
    for number in removed:
        start, end = clauses[number][0].start, clauses[number][-1].end
        if number > first_kept:
            start = clauses[number - 1][-1].end
        elif number + 1 < len(clauses):
            end = clauses[number + 1][0].start
        edits.replace(start, end)


def index_name(table: str, key: DeclaredKey) -> str:
    """What the index that a server makes for a key is called: as the key, or as its first column."""
    automatic = key.name.lower().startswith(f"{table}_ibfk_".lower())
    return key.columns[0] if automatic else key.name


# ---------------------------------------------------------------------------------------------- SHOW CREATE TABLE


def constraint_line(key: DeclaredKey) -> str:
    """The key as SHOW CREATE TABLE writes it, without a comma."""
    parent = quote_name(key.parent, quoted=True)
    if key.database:
        parent = f"{quote_name(key.database, quoted=True)}.{parent}"
    actions = "".join(
        f" ON {event} {action}"
        for event, action in (("DELETE", key.on_delete), ("UPDATE", key.on_update))
        if action not in ("", "RESTRICT")
    )
    return (
        f"  CONSTRAINT {quote_name(key.name, quoted=True)} FOREIGN KEY ({_list(key.columns)}) "
        f"REFERENCES {parent} ({_list(key.referenced)}){actions}"
    )


def _list(columns: Sequence[str]) -> str:
    return ", ".join([quote_name(column, quoted=True) for column in columns])
