"""What table definitions and maintenance need: CREATE, ALTER, DROP, TRUNCATE, RENAME, CHECK and their like.

Decides from the lexemes, as the planner of these statements does. Knows no accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from dbmesh.errors import MeshError
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl import object_kind
from dbmesh.planner.ddl_reading import (
    NamePlace,
    read_alter_table,
    read_create_table,
    read_drop_table,
    read_index_table,
    read_maintenance,
    read_place,
    read_rename_table,
    read_truncate,
)
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader, split_lexemes
from dbmesh.planner.needs.bodies import body_needs
from dbmesh.planner.needs.need import Need
from dbmesh.planner.needs.reads import Reading
from dbmesh.rules.privileges import Privilege
from dbmesh.sql.parse import parse

UNKNOWN = Need(Privilege.SUPER)
"""What a statement needs of which nobody knows what it does."""


_ENGINES = frozenset(("CONNECT", "FEDERATED", "MERGE", "MRG_MYISAM", "OQGRAPH", "S3", "SPIDER"))
"""Engines whose tables' rows are files, or tables of others."""
_PLACES = frozenset((("DATA", "DIRECTORY"), ("INDEX", "DIRECTORY")))
_PLACE_OPTIONS = frozenset(("CONNECTION", "FILE_NAME"))
"""Words of CREATE and ALTER TABLE that say where rows lie."""


def definition_needs(context: PlanContext) -> Iterator[Need]:
    """What a statement about tables as such needs."""
    reader = LexemeReader(context.statement.readable)
    word = reader.peek().word
    if word in ("CREATE", "ALTER", "DROP"):
        needs = _OF_OBJECTS.get((word, object_kind(reader)))
        if needs is None:
            yield UNKNOWN
        else:
            yield from needs(context, reader)
    elif word == "TRUNCATE":
        yield _on(context, read_truncate(reader), Privilege.DROP)
    elif word == "RENAME":
        for before, after in read_rename_table(reader):
            yield from _renaming(context, before, after)
    elif word in ("ANALYZE", "OPTIMIZE", "CHECK", "REPAIR", "CHECKSUM"):
        for place in read_maintenance(reader).tables:
            yield _on(context, place, Privilege.SELECT)
            if word not in ("CHECKSUM", "CHECK"):
                yield _on(context, place, Privilege.INSERT)
    else:
        yield UNKNOWN


def _on(context: PlanContext, place: NamePlace, privilege: Privilege) -> Need:
    database = place.database or context.system_schema or context.database or context.rule_set.database
    return Need(privilege, database.lower(), place.name)


def _renaming(context: PlanContext, before: NamePlace, after: NamePlace) -> Iterator[Need]:
    yield _on(context, before, Privilege.ALTER)
    yield _on(context, before, Privilege.DROP)
    yield _on(context, after, Privilege.CREATE)
    yield _on(context, after, Privilege.INSERT)


def _create_table(context: PlanContext, reader: LexemeReader) -> Iterator[Need]:
    read = read_create_table(reader)
    made = _on(context, read.table, Privilege.CREATE)
    if read.temporary:
        yield Need(Privilege.CREATE_TEMPORARY_TABLES, made.database)
    else:
        yield made
        if read.replaces:
            yield _on(context, read.table, Privilege.DROP)
    if read.like is not None:
        yield _on(context, read.like, Privilege.SELECT)
    for place in read.references:
        yield _on(context, place, Privilege.REFERENCES)
    if read.unions:
        yield UNKNOWN
    yield from _file_needs(context, reader.lexemes)
    if read.selects:
        if not read.temporary:
            yield _on(context, read.table, Privilege.INSERT)
        yield from _query_needs(context, reader.lexemes)


def _file_needs(context: PlanContext, lexemes: Sequence[Lexeme]) -> Iterator[Need]:
    """FILE for a table whose rows lie where the statement says: elsewhere on the server, or beyond it."""
    # The text with its literals has engines in quotes, the one without has what stands in version comments.
    written = split_lexemes(context.original_text, context.flags)
    if _says_where(written) or _says_where(lexemes):
        yield Need(Privilege.FILE)


def _says_where(lexemes: Sequence[Lexeme]) -> bool:
    for one, following in pairwise(one for one in lexemes if one.text != "="):
        word, value = one.word, following.value.upper()
        if (word, value) in _PLACES or (word == "ENGINE" and value in _ENGINES):
            return True
        if word in _PLACE_OPTIONS and following.kind is Kind.STRING:
            return True
    return False


def _query_needs(context: PlanContext, lexemes: Sequence[Lexeme]) -> Iterator[Need]:
    """What the query a table or view is made of needs."""
    start = next(
        (
            at
            for at, one in enumerate(lexemes)
            if one.word == "SELECT"
            or (one.word in ("WITH", "VALUES", "TABLE") and lexemes[at - 1].word == "AS")
        ),
        None,
    )
    if start is None:
        yield UNKNOWN
        return
    while lexemes[start - 1].text == "(":
        start -= 1
    end = next(
        (at for at in range(len(lexemes) - 1, start, -1) if lexemes[at].word == "CHECK"),
        None,
    )
    if end is not None and lexemes[end + 1 : end + 2] and lexemes[end + 1].word == "OPTION":
        while lexemes[end].word != "WITH":
            end -= 1
    else:
        end = len(lexemes)
    first, last = lexemes[start].start, lexemes[end - 1].end
    try:
        tree = parse(" " * first + context.statement.readable[first:last])
    except MeshError:
        yield UNKNOWN
        return
    reading = Reading(context, tree, lexemes[start:end])
    reading.read_columns()
    yield from reading.needs()


def _alter_table(context: PlanContext, reader: LexemeReader) -> Iterator[Need]:
    read = read_alter_table(reader)
    yield _on(context, read.table, Privilege.ALTER)
    for place in read.references:
        yield _on(context, place, Privilege.REFERENCES)
    if read.exchanges:
        yield UNKNOWN
    yield from _file_needs(context, reader.lexemes)
    if read.renamed_to is not None:
        yield from _renaming(context, read.table, read.renamed_to)


def _drop(context: PlanContext, reader: LexemeReader) -> Iterator[Need]:
    read = read_drop_table(reader)
    for place in read.tables:
        need = _on(context, place, Privilege.DROP)
        own = (need.database, place.name.lower()) in context.settings.temporary
        if not own and not read.temporary:
            yield need


def _index(context: PlanContext, reader: LexemeReader) -> Iterator[Need]:
    yield _on(context, read_index_table(reader), Privilege.INDEX)


def _view(context: PlanContext, reader: LexemeReader) -> Iterator[Need]:
    replaces = reader.looks_at("ALTER") or reader.looks_at("CREATE", "OR", "REPLACE")
    lexemes = list(reader.lexemes)
    while not reader.accept("VIEW"):
        reader.take()
    reader.accept("IF", "NOT", "EXISTS")
    place = read_place(reader)
    yield _on(context, place, Privilege.CREATE_VIEW)
    if replaces:
        yield _on(context, place, Privilege.DROP)
    yield from _query_needs(context, lexemes)


def _trigger(context: PlanContext, reader: LexemeReader) -> Iterator[Need]:
    place = read_index_table(reader)
    need = _on(context, place, Privilege.TRIGGER)
    yield need
    yield from body_needs(context, need.database or "", context.statement.readable)


def _sequence(privilege: Privilege) -> Callable[[PlanContext, LexemeReader], Iterator[Need]]:
    def needs(context: PlanContext, reader: LexemeReader) -> Iterator[Need]:
        while not reader.accept("SEQUENCE"):
            reader.take()
        if not reader.accept("IF", "NOT", "EXISTS"):
            reader.accept("IF", "EXISTS")
        yield _on(context, read_place(reader), privilege)

    return needs


_OF_OBJECTS: Mapping[tuple[str, str], Callable[[PlanContext, LexemeReader], Iterator[Need]]] = {
    ("CREATE", "TABLE"): _create_table,
    ("CREATE", "INDEX"): _index,
    ("DROP", "INDEX"): _index,
    ("CREATE", "VIEW"): _view,
    ("ALTER", "VIEW"): _view,
    ("CREATE", "TRIGGER"): _trigger,
    ("ALTER", "TABLE"): _alter_table,
    ("DROP", "TABLE"): _drop,
    ("DROP", "VIEW"): _drop,
    ("CREATE", "SEQUENCE"): _sequence(Privilege.CREATE),
    ("ALTER", "SEQUENCE"): _sequence(Privilege.ALTER),
    ("DROP", "SEQUENCE"): _drop,
}
