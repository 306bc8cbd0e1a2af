"""SET in all its forms, as assignments in the order written (manual, "SET Syntax for Variable Assignment").

Decides the scope and the name of every assignment and whether its value is a plain literal. Knows neither which
variables exist nor what they do: the session asks a data source.
"""

from __future__ import annotations

import re
from typing import Final

from dbmesh.errors import UNKNOWN_VARIABLE, MeshError, not_supported
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.session_plan import Assignment, Scope, SetForStatement, SetVariables

_KEYWORD_SCOPES = {
    "SESSION": Scope.SESSION,
    "LOCAL": Scope.SESSION,
    "GLOBAL": Scope.GLOBAL,
    "PERSIST": Scope.GLOBAL,
    "PERSIST_ONLY": Scope.GLOBAL,
}

# `SET @@x = …` without a scope changes these for the next transaction only (manual, "SET TRANSACTION").
_ISOLATION_VARIABLES = frozenset({"transaction_isolation", "tx_isolation"})
_ACCESS_VARIABLES = frozenset({"transaction_read_only", "tx_read_only"})

_NAME: Final = re.compile(r"[a-z0-9_$]+")
"""Names of system variables. They are written into statements for data sources, where another text would be more than a name."""
_NO_VARIABLES: Final = frozenset(("password", "role", "transaction"))
"""What behind SET begins something else, also in front of '='."""


def read_set(reader: LexemeReader) -> SetVariables | SetForStatement:
    """The assignments of a SET statement, or of SET STATEMENT … FOR. The charset of NAMES and CHARACTER SET arrives decoded and in lower case.

    Raises MeshError: NOT_SUPPORTED for PERSIST, PARSE_ERROR.
    """
    reader.expect("SET")
    return _read_set_for_statement(reader) if _is_for_statement(reader) else read_assignments(reader)


def _is_for_statement(reader: LexemeReader) -> bool:
    return reader.looks_at("STATEMENT") and reader.peek(1).text not in ("=", ":=")


def read_assignments(reader: LexemeReader) -> SetVariables:
    """The assignments behind SET. Raises MeshError."""
    scope = Scope.SESSION
    assignments: list[Assignment] = []
    while True:
        keyword = _scope_keyword(reader)
        if keyword is not None:
            scope = _KEYWORD_SCOPES[keyword]
            if keyword.startswith("PERSIST"):
                raise _persisted_refused()
        if reader.looks_at("TRANSACTION") and not assignments:
            transaction = scope if keyword is not None else Scope.TRANSACTION
            return SetVariables((_read_transaction(reader, transaction),))
        assignments.append(_read_charset(reader) or _read_assignment(reader, scope))
        if not reader.accept(","):
            reader.expect_end()
            return SetVariables(tuple(assignments))


def _read_set_for_statement(reader: LexemeReader) -> SetForStatement:
    reader.expect("STATEMENT")
    assignments: list[Assignment] = []
    while True:
        name = _variable_name(reader.expect_name().value)
        reader.expect("=")
        lexemes = read_expression(reader, end="FOR")
        expression = reader.statement[lexemes[0].start : lexemes[-1].end]
        assignments.append(Assignment(Scope.SESSION, name, expression, is_literal(lexemes, Scope.SESSION)))
        if not reader.accept(","):
            reader.expect("FOR")
            return SetForStatement(tuple(assignments), reader.rest())


def _persisted_refused() -> MeshError:
    return not_supported("SET PERSIST", "use SET GLOBAL, and write the value into the servers' configuration")


def _scope_keyword(reader: LexemeReader) -> str | None:
    word = reader.peek().word
    if word in _KEYWORD_SCOPES and reader.peek(1).text not in ("=", ":="):
        reader.take()
        return word
    return None


def _read_transaction(reader: LexemeReader, scope: Scope) -> Assignment:
    reader.expect("TRANSACTION")
    characteristics = reader.rest()
    seen: set[str] = set()
    while True:
        if reader.accept("ISOLATION", "LEVEL"):
            kind = "isolation"
            if not (
                reader.accept("READ", "COMMITTED")
                or reader.accept("READ", "UNCOMMITTED")
                or reader.accept("REPEATABLE", "READ")
                or reader.accept("SERIALIZABLE")
            ):
                raise reader.error()
        elif reader.accept("READ", "ONLY") or reader.accept("READ", "WRITE"):
            kind = "access"
        else:
            raise reader.error()
        if kind in seen:
            raise reader.error()
        seen.add(kind)
        if not reader.accept(","):
            reader.expect_end()
            return Assignment(scope, "transaction", characteristics, literal=True)


def _read_charset(reader: LexemeReader) -> Assignment | None:
    """NAMES x [COLLATE y], CHARACTER SET x, CHARSET x; None for anything else."""
    if reader.peek(1).text in ("=", ":="):
        return None
    if reader.accept("NAMES"):
        name = "names"
    elif reader.accept("CHARACTER", "SET") or reader.accept("CHARSET") or reader.accept("CHAR", "SET"):
        name = "character set"
    else:
        return None
    value = _read_charset_name(reader)
    collation = _read_charset_name(reader) if name == "names" and reader.accept("COLLATE") else None
    return Assignment(Scope.SESSION, name, value, literal=True, extra=collation)


def _read_charset_name(reader: LexemeReader) -> str:
    if reader.peek().kind not in (Kind.WORD, Kind.QUOTED, Kind.STRING):
        raise reader.error()
    lexeme = reader.take()
    return "DEFAULT" if lexeme.word == "DEFAULT" else lexeme.value.lower()


def _read_assignment(reader: LexemeReader, scope: Scope) -> Assignment:
    target = reader.peek()
    if target.kind is Kind.USER_VARIABLE:
        reader.take()
        name, scope = target.value, Scope.USER
    elif target.kind is Kind.SYSTEM_VARIABLE:
        reader.take()
        prefix, dot, variable = target.value.partition(".")
        if dot and prefix.upper() not in _KEYWORD_SCOPES:
            raise _structured_refused(target.value)
        if dot and prefix.upper().startswith("PERSIST"):
            raise _persisted_refused()
        name, scope = _variable_name(variable if dot else prefix), Scope.SESSION
        if dot:
            scope = _KEYWORD_SCOPES[prefix.upper()]
        if not dot and name in _ISOLATION_VARIABLES | _ACCESS_VARIABLES:
            scope = Scope.TRANSACTION
    else:
        if target.word == "PASSWORD":
            raise not_supported("SET PASSWORD behind other assignments", "send SET PASSWORD by itself")
        name = reader.expect_name().value
        if reader.looks_at("."):
            raise _structured_refused(name.lower())
        name = _variable_name(name)
    if reader.accept_any("=", ":=") is None:
        raise reader.error()
    lexemes = read_expression(reader)
    expression = reader.statement[lexemes[0].start : lexemes[-1].end]
    if scope is Scope.TRANSACTION:
        return _next_transaction(name, lexemes)
    return Assignment(scope, name, expression, is_literal(lexemes, scope))


def _variable_name(written: str) -> str:
    """A system variable's name in lower case. Raises MeshError(UNKNOWN_VARIABLE) for what is none."""
    name = written.lower()
    if _NAME.fullmatch(name) is None or name in _NO_VARIABLES:
        raise MeshError(UNKNOWN_VARIABLE, name=written)
    return name


def _structured_refused(name: str) -> MeshError:
    return not_supported(f"SET of the structured variable '{name}'", "set it on each data source itself")


def read_expression(reader: LexemeReader, end: str = ",") -> list[Lexeme]:
    """The lexemes up to the next comma, or the word `end`, outside parentheses, at least one."""
    lexemes: list[Lexeme] = []
    depth = 0
    while not reader.at_end and not (depth == 0 and (reader.looks_at(",") or reader.looks_at(end))):
        lexeme = reader.take()
        if lexeme.kind is Kind.MARK:
            depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        lexemes.append(lexeme)
    if not lexemes or depth != 0:
        raise reader.error()
    return lexemes


def is_literal(lexemes: list[Lexeme], scope: Scope) -> bool:
    """Whether an expression is an `Assignment.literal`."""
    first = lexemes[0]
    if len(lexemes) == 2:
        introduced = first.text.startswith("_") and lexemes[1].kind is Kind.STRING
        signed = first.text in ("-", "+") and lexemes[1].kind is Kind.NUMBER
        return introduced or signed
    if len(lexemes) > 2:
        return False
    if scope is Scope.USER and first.kind in (Kind.WORD, Kind.QUOTED):
        return first.word in ("NULL", "TRUE", "FALSE")
    return first.kind in (Kind.STRING, Kind.NUMBER, Kind.WORD, Kind.QUOTED)


def _next_transaction(name: str, lexemes: list[Lexeme]) -> Assignment:
    """`SET @@transaction_isolation = 'READ-COMMITTED'` as the SET TRANSACTION it means."""
    value = lexemes[0].value.upper() if len(lexemes) == 1 else ""
    if name in _ISOLATION_VARIABLES:
        level = value.replace("-", " ")
        if level in ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"):
            return Assignment(Scope.TRANSACTION, "transaction", f"ISOLATION LEVEL {level}", literal=True)
    elif value in ("1", "ON", "TRUE", "0", "OFF", "FALSE"):
        access = "READ ONLY" if value in ("1", "ON", "TRUE") else "READ WRITE"
        return Assignment(Scope.TRANSACTION, "transaction", access, literal=True)
    raise not_supported(f"SET @@{name} to this expression", "write SET TRANSACTION with its characteristics")
