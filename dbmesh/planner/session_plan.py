"""Statements the session answers by itself, as values: transactions, variables, text PREPARE, KILL and the like.

Decides their shape only. How they are answered is the session's business; what goes to shards is `plan.ShardPlan`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from dbmesh.rules.account_statements import CURRENT_USER, AccountStatement
from dbmesh.rules.accounts import AccountName
from dbmesh.sql.delimited import FileFormat
from dbmesh.sql.lexer import DEFAULT, LexerFlags


@dataclass(frozen=True, slots=True)
class Begin:
    """BEGIN / START TRANSACTION. `characteristics` is the text after START TRANSACTION, '' when none."""

    characteristics: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """COMMIT [AND CHAIN] [RELEASE]."""

    chain: bool = False
    release: bool = False


@dataclass(frozen=True, slots=True)
class Rollback:
    """ROLLBACK [AND CHAIN] [RELEASE] or ROLLBACK TO [SAVEPOINT] `savepoint`."""

    chain: bool = False
    release: bool = False
    savepoint: str | None = None


@dataclass(frozen=True, slots=True)
class Savepoint:
    """SAVEPOINT name, or RELEASE SAVEPOINT name."""

    name: str
    release: bool = False


class XaVerb(Enum):
    """What an XA statement does."""

    START = "start"
    END = "end"
    PREPARE = "prepare"
    COMMIT = "commit"
    COMMIT_ONE_PHASE = "commit one phase"
    ROLLBACK = "rollback"
    RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class OuterXa:
    """XA START, END, PREPARE, COMMIT, ROLLBACK of a transaction by its name, or XA RECOVER [CONVERT XID]."""

    verb: XaVerb
    xid: str
    converts: bool = False


class Scope(Enum):
    """Whose variable a SET changes."""

    SESSION = "session"
    GLOBAL = "global"
    USER = "user"
    TRANSACTION = "transaction"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One assignment of a SET. `expression` is its SQL text as written, literals in place; `literal` tells that it is a plain
    literal, a bare word (`SET sql_mode = ANSI`) or DEFAULT, so that it can be carried to another connection as it is.
    SET NAMES / CHARACTER SET arrive as name `names` / `character set`, with `collation` or None in `extra`.
    SET [SESSION] TRANSACTION arrives as name `transaction` with its characteristics as `expression`."""

    scope: Scope
    name: str
    expression: str
    literal: bool
    extra: str | None = None


@dataclass(frozen=True, slots=True)
class SetVariables:
    """SET …, in the order written."""

    assignments: tuple[Assignment, ...]


@dataclass(frozen=True, slots=True)
class SetForStatement:
    """SET STATEMENT … FOR statement (MariaDB): session variables for the time of one statement."""

    assignments: tuple[Assignment, ...]
    statement: str


@dataclass(frozen=True, slots=True)
class Use:
    """USE database."""

    database: str


@dataclass(frozen=True, slots=True)
class Kill:
    """KILL [QUERY | CONNECTION] id."""

    id: int
    query: bool


@dataclass(frozen=True, slots=True)
class TextPrepare:
    """PREPARE name FROM 'text' | @variable (`variable` names it, then `text` is ''). For another expression (MariaDB)
    `variable` is one of the statement's own, `assigned` gives it its value."""

    name: str
    text: str
    variable: str | None = None
    assigned: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True)
class TextExecute:
    """EXECUTE name USING @a, @b; of EXECUTE IMMEDIATE `immediate` is the statement. `assigned`: variables of the statement's
    own, for what is another expression (MariaDB)."""

    name: str
    variables: tuple[str, ...]
    assigned: tuple[Assignment, ...] = ()
    immediate: TextPrepare | None = None


@dataclass(frozen=True, slots=True)
class TextDeallocate:
    """DEALLOCATE | DROP PREPARE name."""

    name: str


@dataclass(frozen=True, slots=True)
class ShowWarnings:
    """SHOW WARNINGS | ERRORS [LIMIT], or SHOW COUNT(*) WARNINGS | ERRORS."""

    errors_only: bool = False
    count: bool = False
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class GetDiagnostics:
    """GET DIAGNOSTICS: pairs of a user variable and the item it gets, of the `condition` (a literal as written, or the
    name of a user variable behind an @) or, where that is empty, of the statement before."""

    condition: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LocalRows:
    """A result set the planner already knows (SHOW DATABASES, SHOW TABLES …): text columns named `columns`, each value
    text or NULL. Where a server would tell more of them, `origins` has the name and the width in characters of each, and
    `table` the table of information_schema they are of, `database` the logic database."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    table: str = field(default="", repr=False)
    origins: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    database: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ShowProcessList:
    """SHOW [FULL] PROCESSLIST."""

    full: bool


@dataclass(frozen=True, slots=True)
class ShowMeshProcesses:
    """SHOW PROXY PROCESSLIST: the sessions of every sidecar of the mesh."""


@dataclass(frozen=True, slots=True)
class ShowSessions:
    """SHOW PROXY SESSIONS: this mesh's sessions, their pins and reasons."""


@dataclass(frozen=True, slots=True)
class ShowReplicas:
    """SHOW PROXY REPLICAS: the servers of every replica group, and what is known of them."""


@dataclass(frozen=True, slots=True)
class ShowRules:
    """DistSQL that shows rules of a logic database: the words behind SHOW, or of COUNT. `name` is what it is about, `pattern` that of
    LIKE, `usage` that of USAGE_COUNT."""

    form: str
    name: str | None = None
    database: str | None = None
    pattern: str | None = None
    usage: int | None = None


@dataclass(frozen=True, slots=True)
class ShowMesh:
    """DistSQL that shows the mesh: the words behind SHOW, or DATABASE CONFIGURATION of a logic `database`."""

    form: str
    name: str | None = None
    pattern: str | None = None
    database: str | None = None


@dataclass(frozen=True, slots=True)
class SwitchMember:
    """ENABLE | DISABLE COMPUTE NODE, or ALTER READWRITE_SPLITTING RULE `group` ENABLE | DISABLE."""

    name: str
    on: bool
    group: str | None = None
    database: str | None = None


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    """CREATE DATABASE. `options` is the text behind the name."""

    name: str
    options: str
    if_not_exists: bool


@dataclass(frozen=True, slots=True)
class DropDatabase:
    """DROP DATABASE."""

    name: str
    if_exists: bool


@dataclass(frozen=True, slots=True)
class Nothing:
    """Accepted and without effect here: nothing but a comment, UNLOCK TABLES. An empty text is error 1065."""


@dataclass(frozen=True, slots=True)
class Do:
    """DO: the expressions' text."""

    expressions: str


@dataclass(frozen=True, slots=True)
class CallProcedure:
    """CALL [database.]name; `arguments` is their text with its brackets. `variables`: for each argument that is a user
    variable its place and name; the procedure may assign to it."""

    database: str | None
    name: str
    arguments: str
    variables: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Flush:
    """FLUSH of what servers keep, as statements for them."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShowGrants:
    """SHOW GRANTS [FOR account [USING roles]], for the session's own account where none is named."""

    account: AccountName | None = None
    using: tuple[AccountName, ...] = ()


@dataclass(frozen=True, slots=True)
class ShowCreateUser:
    """SHOW CREATE USER [account]."""

    account: AccountName = CURRENT_USER


@dataclass(frozen=True, slots=True)
class ChangeAccounts:
    """CREATE USER, GRANT, SET PASSWORD and their like: statements that change accounts of the mesh. `then` are further
    assignments behind SET PASSWORD."""

    statement: AccountStatement
    then: SetVariables | None = None


@dataclass(frozen=True, slots=True)
class SetRole:
    """SET ROLE roles, or NONE, DEFAULT, ALL [EXCEPT roles] (`special`)."""

    special: str
    roles: tuple[AccountName, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateRoutine:
    """CREATE PROCEDURE | FUNCTION | EVENT (`kind`) [database.]name. `text` is the statement with the bare name; `body`
    what stands behind the name, to be read under `flags`. `alters`: ALTER instead of CREATE."""

    kind: str
    database: str | None
    name: str
    text: str
    body: str
    flags: LexerFlags = field(default=DEFAULT, repr=False)
    alters: bool = False


@dataclass(frozen=True, slots=True)
class DropRoutine:
    """DROP PROCEDURE | FUNCTION | EVENT | TRIGGER (`kind`) [IF EXISTS] [database.]name."""

    kind: str
    database: str | None
    name: str
    if_exists: bool


@dataclass(frozen=True, slots=True)
class ShowCreate:
    """SHOW CREATE PROCEDURE | FUNCTION | TRIGGER (`kind`) [database.]name."""

    kind: str
    database: str | None
    name: str


@dataclass(frozen=True, slots=True)
class LoadData:
    """LOAD DATA LOCAL INFILE. `file` is the name the client is asked for. `fields` are the columns and user variables the
    file's fields go to, None for all columns; `assigned` the columns of SET, each with its expression as lexemes' texts
    and, for variables, their names. `charset` None stands for the database's own."""

    file: bytes
    table: str
    database: str | None
    replaces: bool
    charset: str | None
    layout: FileFormat
    skipped: int
    fields: tuple[LoadTarget, ...] | None
    assigned: tuple[tuple[str, tuple[str | LoadTarget, ...]], ...]


class LoadTarget(NamedTuple):
    """Where a field of a loaded file goes: a column, or a user variable (its name in lower case)."""

    name: str
    variable: bool = False


@dataclass(frozen=True, slots=True)
class SelectInto:
    """SELECT … INTO @a, @b: the query without the clause, and the variables (lower case). `behind`: the clause stands behind
    the query's tables."""

    query: str
    variables: tuple[str, ...]
    behind: bool = False


SessionStatement = (
    Begin
    | Commit
    | Rollback
    | Savepoint
    | SetVariables
    | SetForStatement
    | Use
    | Kill
    | TextPrepare
    | TextExecute
    | TextDeallocate
    | ShowWarnings
    | LocalRows
    | ShowProcessList
    | ShowMeshProcesses
    | ShowSessions
    | ShowReplicas
    | ShowRules
    | ShowMesh
    | SwitchMember
    | OuterXa
    | Do
    | CallProcedure
    | Flush
    | ShowGrants
    | ShowCreateUser
    | ChangeAccounts
    | SetRole
    | CreateRoutine
    | DropRoutine
    | ShowCreate
    | GetDiagnostics
    | LoadData
    | SelectInto
    | CreateDatabase
    | DropDatabase
    | Nothing
)
"""Statements the session answers by itself."""
