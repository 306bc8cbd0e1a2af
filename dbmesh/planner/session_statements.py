"""Statements about the session itself, read from the client's own text: transactions, SET, USE, KILL, PREPARE.

Decides which statements never reach a data source as written, and reads them exactly. Knows no rules, no tables and
no session: what a value means for pooled connections is the session's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dbmesh.errors import not_supported
from dbmesh.planner.accounts.grants import (
    read_grant,
    read_revoke,
    read_set_default_role,
    read_set_role,
    read_show_grants,
)
from dbmesh.planner.accounts.names import read_account
from dbmesh.planner.accounts.users import read_set_password, read_users_statement
from dbmesh.planner.distsql import read_distsql
from dbmesh.planner.get_diagnostics import read_get_diagnostics
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.load_data import read_load_data
from dbmesh.planner.routines import (
    read_call,
    read_create_routine,
    read_do,
    read_drop_routine,
    read_show_create,
)
from dbmesh.planner.session_plan import (
    Assignment,
    Begin,
    ChangeAccounts,
    Commit,
    Flush,
    Kill,
    Nothing,
    Rollback,
    Savepoint,
    Scope,
    SessionStatement,
    ShowCreateUser,
    ShowMeshProcesses,
    ShowProcessList,
    ShowReplicas,
    ShowSessions,
    ShowWarnings,
    TextDeallocate,
    TextExecute,
    TextPrepare,
    Use,
)
from dbmesh.planner.set_statement import is_literal, read_assignments, read_expression, read_set
from dbmesh.planner.unsupported import refuse_unsupported
from dbmesh.planner.xa_statements import read_xa
from dbmesh.rules.account_statements import CURRENT_USER
from dbmesh.sql.lexer import DEFAULT, LexerFlags


def plan_session_statement(statement: str, flags: LexerFlags = DEFAULT) -> SessionStatement | None:
    """What the session does by itself for this statement (its whole text, literals in place, read under
    `flags`), or None when it is for the data sources.

    Raises MeshError: PARSE_ERROR for a statement begun right and ended wrong, NOT_SUPPORTED for statements no mesh
    can honour (LOCK TABLES, GRANT …).
    """
    reader = LexemeReader(statement, flags=flags)
    if reader.at_end:
        return Nothing()
    refuse_unsupported(reader)
    read = _READERS.get(reader.peek().word)
    return None if read is None else read(reader)


def _read_set(reader: LexemeReader) -> SessionStatement:
    if reader.accept("SET", "PASSWORD"):
        password = read_set_password(reader)
        then = read_assignments(reader) if reader.accept(",") else None
        reader.expect_end()
        return ChangeAccounts(password, then)
    if reader.accept("SET", "DEFAULT", "ROLE"):
        return ChangeAccounts(read_set_default_role(reader))
    return read_set_role(reader) if reader.accept("SET", "ROLE") else read_set(reader)


def _read_definition(reader: LexemeReader) -> SessionStatement | None:
    """CREATE, ALTER, DROP, RENAME of what is the session's to change."""
    users = read_users_statement(reader)
    if users is not None:
        return ChangeAccounts(users)
    if reader.looks_at("DROP"):
        return read_drop_routine(reader) or _read_deallocate(reader)
    return None if reader.looks_at("RENAME") else read_create_routine(reader)


def _read_begin(reader: LexemeReader) -> SessionStatement:
    reader.expect("BEGIN")
    reader.accept("WORK")
    reader.expect_end()
    return Begin()


def _read_start(reader: LexemeReader) -> SessionStatement:
    reader.expect("START", "TRANSACTION")
    characteristics = reader.rest()
    while not reader.at_end:
        if not (
            reader.accept("WITH", "CONSISTENT", "SNAPSHOT")
            or reader.accept("READ", "ONLY")
            or reader.accept("READ", "WRITE")
        ):
            raise reader.error()
        if not reader.at_end:
            reader.expect(",")
            if reader.at_end:
                raise reader.error()
    return Begin(characteristics)


def _read_completion(reader: LexemeReader) -> tuple[bool, bool]:
    """[AND [NO] CHAIN] [[NO] RELEASE], the end of COMMIT and ROLLBACK."""
    chain = reader.accept("AND", "CHAIN")
    if not chain:
        reader.accept("AND", "NO", "CHAIN")
    release = reader.accept("RELEASE")
    if not release:
        reader.accept("NO", "RELEASE")
    reader.expect_end()
    return chain, release


def _read_commit(reader: LexemeReader) -> SessionStatement:
    reader.expect("COMMIT")
    reader.accept("WORK")
    chain, release = _read_completion(reader)
    return Commit(chain, release)


def _read_rollback(reader: LexemeReader) -> SessionStatement:
    reader.expect("ROLLBACK")
    reader.accept("WORK")
    if reader.accept("TO"):
        reader.accept("SAVEPOINT")
        return Rollback(savepoint=_read_last_name(reader))
    chain, release = _read_completion(reader)
    return Rollback(chain, release)


def _read_savepoint(reader: LexemeReader) -> SessionStatement:
    reader.expect("SAVEPOINT")
    return Savepoint(_read_last_name(reader))


def _read_release(reader: LexemeReader) -> SessionStatement:
    reader.expect("RELEASE", "SAVEPOINT")
    return Savepoint(_read_last_name(reader), release=True)


def _read_last_name(reader: LexemeReader) -> str:
    name = reader.expect_name().value
    reader.expect_end()
    return name


def _read_use(reader: LexemeReader) -> SessionStatement:
    reader.expect("USE")
    return Use(_read_last_name(reader))


def _read_kill(reader: LexemeReader) -> SessionStatement:
    reader.expect("KILL")
    query = reader.accept_any("QUERY", "CONNECTION") == "QUERY"
    identifier = reader.expect_integer()
    reader.expect_end()
    return Kill(identifier, query)


def _read_prepare(reader: LexemeReader) -> SessionStatement:
    reader.expect("PREPARE")
    name = reader.expect_name().value
    reader.expect("FROM")
    source = _read_source(reader, name)
    reader.expect_end()
    return source


def _read_source(reader: LexemeReader, name: str) -> TextPrepare:
    """The text of PREPARE and EXECUTE IMMEDIATE."""
    lexemes = read_expression(reader, "USING")
    if all(lexeme.kind is Kind.STRING for lexeme in lexemes):
        return TextPrepare(name, "".join(lexeme.value for lexeme in lexemes))
    variable, assigned = _operand(reader, lexemes, "text")
    return TextPrepare(name, "", variable, assigned)


def _operand(reader: LexemeReader, lexemes: list[Lexeme], name: str) -> tuple[str, tuple[Assignment, ...]]:
    """A user variable, or one of the statement's own and what gives it its value."""
    if len(lexemes) == 1 and lexemes[0].kind is Kind.USER_VARIABLE:
        return lexemes[0].value, ()
    name = f"dbmesh_{name}"
    expression = reader.statement[lexemes[0].start : lexemes[-1].end]
    return name, (Assignment(Scope.USER, name, expression, is_literal(lexemes, Scope.USER)),)


def _read_execute(reader: LexemeReader) -> SessionStatement:
    reader.expect("EXECUTE")
    immediate = _read_source(reader, "") if reader.accept("IMMEDIATE") else None
    name = reader.expect_name().value if immediate is None else ""
    variables: list[str] = []
    assigned = () if immediate is None else immediate.assigned
    if reader.accept("USING"):
        while True:
            variable, own = _operand(reader, read_expression(reader), f"using_{len(variables)}")
            variables.append(variable)
            assigned += own
            if not reader.accept(","):
                break
    reader.expect_end()
    return TextExecute(name, tuple(variables), assigned, immediate)


def _read_deallocate(reader: LexemeReader) -> SessionStatement | None:
    if not reader.looks_at("DEALLOCATE") and not reader.looks_at("DROP", "PREPARE"):
        return None
    reader.take()
    reader.expect("PREPARE")
    return TextDeallocate(_read_last_name(reader))


def _read_unlock(reader: LexemeReader) -> SessionStatement:
    # LOCK TABLES is refused, so there is never a lock to release.
    reader.expect("UNLOCK")
    if reader.accept_any("TABLES", "TABLE") is None:
        raise reader.error()
    reader.expect_end()
    return Nothing()


def _read_show(reader: LexemeReader) -> SessionStatement | None:
    shown = read_distsql(reader)
    if shown is not None:
        return shown
    if reader.accept("SHOW", "COUNT", "(", "*", ")"):
        return _read_show_warnings(reader, count=True)
    if reader.looks_at("SHOW", "WARNINGS") or reader.looks_at("SHOW", "ERRORS"):
        reader.take()
        return _read_show_warnings(reader, count=False)
    if reader.accept("SHOW", "PROXY", "SESSIONS"):
        reader.expect_end()
        return ShowSessions()
    if reader.accept("SHOW", "PROXY", "PROCESSLIST"):
        reader.expect_end()
        return ShowMeshProcesses()
    if reader.accept("SHOW", "PROXY", "REPLICAS"):
        reader.expect_end()
        return ShowReplicas()
    full = reader.looks_at("SHOW", "FULL", "PROCESSLIST")
    if full or reader.looks_at("SHOW", "PROCESSLIST"):
        reader.position += 3 if full else 2
        reader.expect_end()
        return ShowProcessList(full)
    if reader.accept("SHOW", "GRANTS"):
        return read_show_grants(reader)
    if reader.accept("SHOW", "CREATE", "USER"):
        account = CURRENT_USER if reader.at_end else read_account(reader)
        reader.expect_end()
        return ShowCreateUser(account)
    return read_show_create(reader)


def _read_show_warnings(reader: LexemeReader, *, count: bool) -> SessionStatement:
    kind = reader.accept_any("WARNINGS", "ERRORS")
    if kind is None:
        raise reader.error()
    offset, limit = 0, None
    if not count and reader.accept("LIMIT"):
        limit = reader.expect_integer()
        if reader.accept(","):
            offset, limit = limit, reader.expect_integer()
        elif reader.accept("OFFSET"):
            offset = reader.expect_integer()
    reader.expect_end()
    return ShowWarnings(kind == "ERRORS", count, offset, limit)


_FLUSHED = (
    *(("TABLES",), ("TABLE",), ("LOGS",), ("STATUS",), ("HOSTS",), ("PRIVILEGES",), ("USER_RESOURCES",)),
    *((kind, "LOGS") for kind in ("BINARY", "ENGINE", "ERROR", "GENERAL", "SLOW", "RELAY")),
    *((kind, "STATUS") for kind in ("GLOBAL", "SESSION")),
    ("QUERY", "CACHE"),
)


def _read_flush(reader: LexemeReader) -> SessionStatement:
    text = reader.rest()
    reader.expect("FLUSH")
    reader.accept_any("NO_WRITE_TO_BINLOG", "LOCAL")
    while any(reader.accept(*words) for words in _FLUSHED):
        if reader.at_end:
            return Flush((text,))
        if not reader.accept(","):
            break
    raise not_supported(
        "FLUSH of this form", "run it on the data source itself with an administrator account"
    )


_READERS: Mapping[str, Callable[[LexemeReader], SessionStatement | None]] = {
    "BEGIN": _read_begin,
    "START": _read_start,
    "COMMIT": _read_commit,
    "ROLLBACK": _read_rollback,
    "SAVEPOINT": _read_savepoint,
    "RELEASE": _read_release,
    "SET": _read_set,
    "USE": _read_use,
    "LOAD": read_load_data,
    "KILL": _read_kill,
    "PREPARE": _read_prepare,
    **dict.fromkeys(("ALTER", "COUNT", "DISABLE", "ENABLE", "EXPORT", "FORMAT", "PARSE"), read_distsql),
    "EXECUTE": _read_execute,
    "DEALLOCATE": _read_deallocate,
    "CREATE": _read_definition,
    "ALTER": _read_definition,
    "DROP": _read_definition,
    "RENAME": _read_definition,
    "GRANT": lambda reader: ChangeAccounts(read_grant(reader)),
    "REVOKE": lambda reader: ChangeAccounts(read_revoke(reader)),
    "UNLOCK": _read_unlock,
    "SHOW": _read_show,
    "CALL": read_call,
    "FLUSH": _read_flush,
    "GET": read_get_diagnostics,
    "DO": read_do,
    "XA": read_xa,
}
