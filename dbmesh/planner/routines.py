"""Stored routines and events: which statements are about them, on which data sources a new one belongs, and which procedures are safe to call.

Decides by a procedure's own text. A procedure sees one data source only, so that one which names a table with rows elsewhere, or
changes what belongs to the session, is refused. Knows no connections.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import Catalog
from dbmesh.planner.ddl_reading import read_place
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader, split_lexemes
from dbmesh.planner.session_plan import CallProcedure, CreateRoutine, Do, DropRoutine, ShowCreate
from dbmesh.planner.template import quote_name
from dbmesh.planner.written_names import session_functions
from dbmesh.rules.ruleset import RuleSet

_UNSAFE = frozenset(
    ("CALL", "PREPARE", "EXECUTE", "COMMIT", "ROLLBACK", "SAVEPOINT", "START", "XA", "LOCK", "GLOBAL", "SESSION", "TEMPORARY",
     "CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "GET_LOCK", "RELEASE_LOCK", "AUTOCOMMIT")
)  # fmt: skip
_DYNAMIC = frozenset(("PREPARE", "EXECUTE", "DEALLOCATE"))
_DEFINES = re.compile(r"\b(?:CREATE|ALTER|DROP|RENAME|TRUNCATE)\b", re.IGNORECASE)
_STATEMENT_STARTS = frozenset((";", ")", "BEGIN", "THEN", "ELSE", "DO", "LOOP", "REPEAT"))
_INSTEAD = "send its statements one by one"


def read_call(reader: LexemeReader) -> CallProcedure:
    """CALL [database.]name [(arguments)]. Raises MeshError: PARSE_ERROR, NOT_SUPPORTED for arguments only a session knows."""
    reader.expect("CALL")
    place = read_place(reader)
    arguments = reader.rest()
    lexemes = split_lexemes(arguments, reader.flags)
    for lexeme in lexemes:
        reads_tables = lexeme.word == "SELECT" and any(other.word == "FROM" for other in lexemes)
        if lexeme.kind is Kind.SYSTEM_VARIABLE or reads_tables or lexeme.text == ":=":
            raise not_supported(f"CALL with {lexeme.text} in its arguments", "write the value")
    _refuse_session_functions(lexemes, arguments)
    if lexemes and lexemes[0].text != "(":
        raise reader.error()
    return CallProcedure(place.database, place.name, arguments or "()", tuple(_variables(lexemes)))


def _variables(arguments: tuple[Lexeme, ...]) -> Iterator[tuple[int, str]]:
    """The arguments that are a user variable and nothing else, with their places."""
    depth = place = 0
    for before, lexeme, after in zip(arguments, arguments[1:], arguments[2:], strict=False):
        depth += {"(": 1, ")": -1}.get(before.text, 0)
        place += depth == 1 and before.text == ","
        alone = before.text in ("(", ",") and after.text in (")", ",")
        if depth == 1 and alone and lexeme.kind is Kind.USER_VARIABLE:
            yield place, lexeme.value


def read_do(reader: LexemeReader) -> Do:
    """DO expression [, expression] …. Raises MeshError(PARSE_ERROR)."""
    reader.expect("DO")
    if reader.at_end:
        raise reader.error()
    return Do(reader.rest())


def read_show_create(reader: LexemeReader) -> ShowCreate | None:
    """SHOW CREATE PROCEDURE | FUNCTION | EVENT | TRIGGER, None for any other SHOW. Raises MeshError(PARSE_ERROR)."""
    for kind in ("PROCEDURE", "FUNCTION", "EVENT", "TRIGGER"):
        if reader.accept("SHOW", "CREATE", kind):
            place = read_place(reader)
            reader.expect_end()
            return ShowCreate(kind, place.database, place.name)
    return None


def read_create_routine(reader: LexemeReader) -> CreateRoutine | None:
    """CREATE [OR REPLACE] [DEFINER = x] [AGGREGATE] PROCEDURE | FUNCTION | EVENT [IF NOT EXISTS] [database.]name …, and ALTER
    of these; None for any other CREATE or ALTER. Raises MeshError(PARSE_ERROR)."""
    words = [reader.peek(ahead).word for ahead in range(12)]
    kind = next((word for word in words if word in _OBJECTS), None)
    if kind not in ("PROCEDURE", "FUNCTION", "EVENT"):
        return None
    alters = reader.looks_at("ALTER")
    while not reader.accept(kind):
        reader.take()
    reader.accept("IF", "NOT", "EXISTS")
    place = read_place(reader)
    text = f"{reader.statement[: place.start]}{quote_name(place.name, quoted=True)}{reader.statement[place.end :]}"
    return CreateRoutine(kind, place.database, place.name, text, reader.rest(), reader.flags, alters)


_OBJECTS = frozenset(
    (
        "PROCEDURE",
        "FUNCTION",
        "TABLE",
        "VIEW",
        "TRIGGER",
        "EVENT",
        "SEQUENCE",
        "INDEX",
        "DATABASE",
        "SCHEMA",
        "USER",
    )
)


def read_drop_routine(reader: LexemeReader) -> DropRoutine | None:
    """DROP PROCEDURE | FUNCTION | EVENT | TRIGGER [IF EXISTS] [database.]name, None for any other DROP. Raises
    MeshError(PARSE_ERROR)."""
    kind = reader.peek(1).word
    if kind not in ("PROCEDURE", "FUNCTION", "EVENT", "TRIGGER"):
        return None
    reader.take()
    reader.take()
    if_exists = reader.accept("IF", "EXISTS")
    place = read_place(reader)
    reader.expect_end()
    return DropRoutine(kind, place.database, place.name, if_exists)


def homes(routine: CreateRoutine, rule_set: RuleSet, catalog: Catalog) -> tuple[str, ...]:
    """The data sources a new routine belongs on: that of the tables it names, every one for a function that names none, so
    that any statement may call it. Raises MeshError(NOT_SUPPORTED) for tables of several."""
    lexemes = split_lexemes(routine.body, routine.flags)
    _refuse_spread(lexemes, rule_set, f"{_a(routine.kind)}", catalog.views)
    if routine.kind == "FUNCTION":
        check_body(lexemes, routine.body, "a function")
    names = {lexeme.value.lower() for lexeme in lexemes if lexeme.kind in (Kind.WORD, Kind.QUOTED)}
    if rule_set.database.lower() in names and any(
        one.value.lower() == rule_set.database.lower() and other.text == "."
        for one, other in pairwise(lexemes)
    ):
        raise not_supported(
            f"{_a(routine.kind)} that names a table with its database", "leave out the database"
        )
    sources = {node.data_source for name, node in catalog.single_nodes.items() if name in names}
    if len(sources) > 1:
        raise not_supported(
            f"{_a(routine.kind)} that names tables of several data sources",
            "keep the logic in the application",
        )
    if sources:
        return tuple(sources)
    if routine.kind == "FUNCTION":
        return tuple(name for name, config in rule_set.data_sources.items() if config.kind == "mysql")
    return (rule_set.default_single_source or next(iter(rule_set.data_sources)),)


def _a(kind: str) -> str:
    return f"an {kind.lower()}" if kind == "EVENT" else f"a {kind.lower()}"


@dataclass(frozen=True, slots=True)
class ProcedureUse:
    """What a procedure's text says of its CALL: the user variables it names, which it may assign to, the procedures it calls,
    whether it runs SQL that only exists while it runs, and whether that may define tables."""

    variables: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    dynamic: bool = False
    defines: bool = False

    def with_called(self, called: ProcedureUse) -> ProcedureUse:
        """This and a procedure that it calls."""
        return ProcedureUse(
            self.variables | called.variables,
            self.calls | called.calls,
            self.dynamic or called.dynamic,
            self.defines or called.defines,
        )


def may_define(text: str) -> bool:
    """Whether SQL made of this text may be DDL."""
    return _DEFINES.search(text) is not None


def has_one_place(rule_set: RuleSet, catalog: Catalog) -> bool:
    """Whether all that a logic database has, and whatever is made in it, is on one server: any SQL does there what it says."""
    return (
        len(rule_set.data_sources) == 1
        and not (rule_set.tables or rule_set.auto_shards or rule_set.groups or catalog.views)
        and all(config.kind == "mysql" for config in rule_set.data_sources.values())
    )


def check_procedure(text: str, rule_set: RuleSet, catalog: Catalog) -> ProcedureUse:
    """Raise MeshError(NOT_SUPPORTED) unless the procedure of this SHOW CREATE text does the same on its data source as it
    would on one server with all rows. The procedures it calls are not looked at."""
    lexemes = split_lexemes(text)
    first = next((at for at, lexeme in enumerate(lexemes) if lexeme.word == "PROCEDURE"), 0)
    body = lexemes[first + 2 :]
    _refuse_spread(body, rule_set, "CALL of a procedure")
    variables = {lexeme.value.lower() for lexeme in body if lexeme.kind is Kind.USER_VARIABLE}
    safe = frozenset(("CALL",)) | (_DYNAMIC if has_one_place(rule_set, catalog) else frozenset())
    check_body(body, text, "CALL of a procedure", variables, uses_variables=True, safe=safe)
    dynamic = any(lexeme.word in _DYNAMIC for lexeme in body)
    return ProcedureUse(frozenset(variables), frozenset(_called(body)), dynamic, dynamic and may_define(text))


def _called(body: tuple[Lexeme, ...]) -> Iterator[str]:
    """The procedures that a body calls. Raises MeshError(NOT_SUPPORTED) for one of another database."""
    for lexeme, name, after in zip(body, body[1:], (*body[2:], None), strict=False):
        if lexeme.word == "CALL":
            if after is not None and after.text == ".":
                raise _refused("CALL of a procedure", "calls one with its database")
            yield name.value


def _refuse_spread(body: tuple[Lexeme, ...], rule_set: RuleSet, what: str, views: Iterable[str] = ()) -> None:
    spread = {
        name.lower(): rule.name
        for rule in rule_set.tables.values()
        for name in (rule.name, *(node.table for node in rule.nodes))
    } | {name: name for name in views}
    for lexeme in body:
        if lexeme.kind in (Kind.WORD, Kind.QUOTED) and lexeme.value.lower() in spread:
            raise _refused(what, f"names '{spread[lexeme.value.lower()]}', which is sharded or broadcast")


def check_body(
    body: tuple[Lexeme, ...],
    text: str,
    what: str,
    own: Iterable[str] = (),
    *,
    uses_variables: bool = False,
    safe: frozenset[str] = frozenset(),
) -> None:
    """Raise MeshError(NOT_SUPPORTED) where a body uses or changes what belongs to the session, whose connection it does not
    run on. It may set what it declares, and `own`; user variables where somebody carries them; `safe` are words that somebody
    answers for."""
    refused = (Kind.SYSTEM_VARIABLE,) if uses_variables else (Kind.USER_VARIABLE, Kind.SYSTEM_VARIABLE)
    for at, lexeme in enumerate(body):
        if lexeme.kind in refused:
            raise _refused(what, f"uses the variable {lexeme.text}")
        # DROP PREPARE is DEALLOCATE PREPARE.
        word = body[at + 1].word if lexeme.word == "DROP" and at + 1 < len(body) else ""
        if (word or lexeme.word) in safe:
            continue
        if lexeme.word in _UNSAFE and (at == 0 or body[at - 1].text != "."):
            raise _refused(what, f"contains {lexeme.word}")
    _refuse_session_functions(body, text)
    known = {*_declared(body), *own}
    for at, lexeme in enumerate(body[1:-1], 1):
        if lexeme.word != "SET" or body[at - 1].text.upper() not in _STATEMENT_STARTS:
            continue
        for name in _assigned(body[at + 1 :]):
            if name.value.lower() not in known:
                raise _refused(what, f"sets '{name.value}', which it does not declare")


def _refused(what: str, why: str) -> MeshError:
    return not_supported(f"{what} that {why}", _INSTEAD)


def _refuse_session_functions(lexemes: tuple[Lexeme, ...], text: str) -> None:
    for start, end, _ in session_functions(lexemes):
        raise not_supported(f"{text[start:end]} in a stored program or its arguments", _INSTEAD)


def _declared(body: tuple[Lexeme, ...]) -> Iterator[str]:
    """Names of parameters and, behind DECLARE, of variables; a few words too many do no harm."""
    depth = 0
    declaring = False
    header = True
    for lexeme in body:
        if header:
            depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
            header = depth > 0
        if lexeme.word == "DECLARE":
            declaring = True
        elif lexeme.text == ";":
            declaring = False
        if header or declaring:
            yield lexeme.value.lower()


def _assigned(lexemes: tuple[Lexeme, ...]) -> Iterator[Lexeme]:
    """The names `SET a = …, b = …` assigns."""
    depth = 0
    expects = True
    for lexeme in lexemes:
        if lexeme.text == ";":
            return
        depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        if expects:
            yield lexeme
        expects = depth == 0 and lexeme.text == ","
