"""Plans as values: what a statement will do, before any literal is known, and what it becomes once bound.

Decides the shape of every planning result. A `Plan` is immutable and shared by all sessions; `bind` is pure and is
the only thing between a plan-cache hit and the wire. Executing, pooling and merging are other floors' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dbmesh.errors import MeshError
from dbmesh.model import SqlValue
from dbmesh.planner.scans import Federation, SystemFederation
from dbmesh.planner.session_plan import SessionStatement
from dbmesh.planner.session_view import SessionView
from dbmesh.planner.steps import DerivedWrite

if TYPE_CHECKING:
    from dbmesh.planner.capture import Capture
    from dbmesh.planner.encrypted.decryption import Decryption
    from dbmesh.planner.metadata_filter import ShowFilter
    from dbmesh.planner.shadow.side import ShadowSide
    from dbmesh.rules.encryption.rule import EncryptedTable


class Verb(Enum):
    """What a statement does, for metrics, audits and transactions."""

    SELECT = "select"
    INSERT = "insert"
    REPLACE = "replace"
    UPDATE = "update"
    DELETE = "delete"
    DDL = "ddl"
    SHOW = "show"
    OTHER = "other"

    @property
    def changes_rows(self) -> bool:
        """Whether it is INSERT, REPLACE, UPDATE or DELETE."""
        return self in _CHANGES


_CHANGES = frozenset((Verb.INSERT, Verb.REPLACE, Verb.UPDATE, Verb.DELETE))


class PinReason(Enum):
    """Why a session must keep one backend connection to itself, beside an open transaction."""

    USER_LOCK = "user lock"
    CURSOR = "cursor"
    TEMPORARY_TABLE = "temporary table"
    DYNAMIC_SQL = "what a procedure's dynamic SQL left"


# ---------------------------------------------------------------------------------------------- merging


@dataclass(frozen=True, slots=True)
class SortKey:
    """One ORDER BY or GROUP BY key of the shards' answers.

    `column` is the index of the value in the row a shard sends; hidden columns are appended after the client's, and
    because `*` may stand in the list they count from the end (-1 is the last). `weight` is the index of a
    WEIGHT_STRING column to compare by when the value turns out to be text with a collation, else None.
    `collation` names that text's collation (from the catalog): column definitions on the wire carry the connection's
    collation, not the column's, and trailing padding cannot be told without it. Where only the server knows it (an
    expression), `collation` is None and the weight column says it: CONCAT(CAST(COLLATION(x) AS BINARY), ':', WEIGHT_STRING(x)).
    """

    column: int
    weight: int | None = None
    descending: bool = False
    collation: str | None = None


class AggregateFunction(Enum):
    """How the column of several shards' rows becomes one value."""

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVG = "avg"
    COUNT_DISTINCT = "count distinct"
    SUM_DISTINCT = "sum distinct"
    AVG_DISTINCT = "avg distinct"
    BIT_AND = "bit and"
    BIT_OR = "bit or"
    BIT_XOR = "bit xor"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregated column of the answer. Indexes as in `SortKey`.

    AVG reads `sum_column` and `count_column` and writes `column`. SUM reads `sum_column` where it is given and the numbers
    are exact ones: it has digits that `column` does not show. MIN and MAX of text compare by `weight`, under
    `collation`.
    The DISTINCT forms read the distinct values themselves from `arguments`: the shards group by them too.
    """

    column: int
    function: AggregateFunction
    sum_column: int | None = None
    count_column: int | None = None
    weight: int | None = None
    arguments: tuple[SortKey, ...] = ()
    collation: str | None = None


class HavingOperator(Enum):
    """Node kinds of the small HAVING language evaluated on merged rows."""

    AND = "and"
    OR = "or"
    NOT = "not"
    EQUAL = "="
    NOT_EQUAL = "<>"
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="
    NULL_SAFE_EQUAL = "<=>"
    IS_NULL = "is null"
    COLUMN = "column"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Having:
    """A HAVING condition over merged rows, three-valued. COLUMN carries an index (as in `SortKey`) whose value is
    numeric by construction (the planner refuses others); VALUE a bound numeric literal or None for NULL."""

    operator: HavingOperator
    operands: tuple[Having, ...] = ()
    column: int = 0
    value: SqlValue = None


@dataclass(frozen=True, slots=True)
class RowMerge:
    """How rows of several shards become one result set.

    Order of work: sort-merge by `group_by` (if grouping) else `order_by` → combine groups → `having` → sort by
    `order_by` when `resort` (the shards could not deliver that order) → `distinct` → skip `offset` → stop after
    `limit` → drop the last `hidden` columns.

    * `sorted_by_shards`: every shard's rows arrive in the order of the first sort (always true for grouping and
      ordering plans on MySQL; the merger streams).
    * `grouped`: aggregate; with an empty `group_by` the answer is exactly one row.
    * `distinct`: rows equal in every `distinct_keys` key are one row; shards sort by those keys, so it streams.
    """

    hidden: int = 0
    order_by: tuple[SortKey, ...] = ()
    grouped: bool = False
    group_by: tuple[SortKey, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    having: Having | None = None
    resort: bool = False
    distinct: bool = False
    distinct_keys: tuple[SortKey, ...] = ()
    offset: int = 0
    limit: int | None = None

    @property
    def needs_all(self) -> bool:
        """Whether every shard's answer is needed: not when rows are taken as they arrive, until LIMIT."""
        return self.limit is None or self.grouped or self.distinct or bool(self.order_by)

    @property
    def reads_rows(self) -> bool:
        """Whether values of rows are looked at or changed: not when whole rows are only counted on their way."""
        return bool(self.hidden or self.grouped or self.distinct or self.order_by or self.having)


@dataclass(frozen=True, slots=True)
class CountMerge:
    """How the OK packets of several shards become one.

    Affected rows and warnings add up; with `broadcast` every node holds the same rows, so the first node's count is
    the answer. `last_insert_id` is what the mesh generated, else that of the shot with the statement's `last` row. `inserts`:
    the shots are INSERTs of one statement with several rows; `numbers` tells where in the statement the rows of each shot stand.
    """

    broadcast: bool = False
    last_insert_id: int | None = None
    last: int = field(default=0, repr=False)
    inserts: bool = field(default=False, repr=False)
    numbers: Callable[[], Sequence[Sequence[int]]] | None = field(default=None, repr=False, compare=False)

    def row_numbers(self) -> Sequence[Sequence[int]] | None:
        """The numbers, from 1, that the rows of each shot have in an INSERT; None for another statement. O(rows)."""
        return None if self.numbers is None else self.numbers()


@dataclass(frozen=True, slots=True)
class ReturnedRows:
    """How the rows that several shards return of a write (RETURNING) become one result set: in the order of `turns`, for
    each row written the number of the shot that returns it; without, as they come. With `broadcast` every shot writes the
    same rows: the first one's are the answer."""

    turns: tuple[int, ...] = ()
    broadcast: bool = False

    def row_numbers(self) -> Sequence[Sequence[int]] | None:
        """See `CountMerge`."""
        if not self.turns:
            return None
        found: list[list[int]] = [[] for _ in range(max(self.turns) + 1)]
        for number, shot in enumerate(self.turns, 1):
            found[shot].append(number)
        return found


@dataclass(frozen=True, slots=True)
class Relay:
    """One shot whose answer passes through untouched but for names."""


@dataclass(frozen=True, slots=True)
class RenameValues:
    """One shot whose text values in `columns` carry actual names to turn back (SHOW CREATE TABLE …). `suffix` is what names
    of keys and constraints carry behind their own; `constraints` are lines of constraints that the data source does not have. `encrypted`: the definition is of a
    table with such columns."""

    columns: tuple[int, ...]
    suffix: str = field(default="", repr=False)
    constraints: tuple[str, ...] = field(default=(), repr=False)
    encrypted: EncryptedTable | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TableReports:
    """Lines that data sources say of their tables (CHECK TABLE …), to be told of logic `tables` (with their databases). With
    `sums` each is a number, and a table's that of its data nodes together (CHECKSUM TABLE)."""

    tables: tuple[str, ...]
    sums: bool = False


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """One shot of SHOW STATUS: what it tells of the link is about the mesh's own, the session knows the client's."""


@dataclass(frozen=True, slots=True)
class WithOwnVariables:
    """One shot of SHOW VARIABLES: the session adds the mesh's own variables, those that the filter keeps."""

    kept: ShowFilter | None


class Shot(NamedTuple):
    """One statement for one data source. `sql` is ready bytes in MySQL's dialect and the session's charset."""

    data_source: str
    sql: bytes


class OwnStatement(NamedTuple):
    """The client's statement as the first shot's data node alone would run it, and which of the client's parameters its `?`
    are. Its columns are those one server tells."""

    sql: bytes
    parameters: tuple[int, ...] = ()


class Question(NamedTuple):
    """What to ask for an answer's columns; the argument of `statement` is whether it is ended by LIMIT ROWS EXAMINED, which
    MariaDB knows. `empty`: LIMIT is 0, and servers tell columns without planning the statement.
    `whole`: the client's statement on each shot's data node, values written in, which is what its warnings are of."""

    statement: Callable[[bool], OwnStatement]
    empty: bool
    whole: Callable[[], Sequence[bytes]]


Answer = (
    Relay
    | RowMerge
    | CountMerge
    | ReturnedRows
    | RenameValues
    | TableReports
    | LinkStatus
    | WithOwnVariables
    | Federation
    | SystemFederation
    | DerivedWrite
)


# ---------------------------------------------------------------------------------------------- bound statements


@dataclass(frozen=True, slots=True)
class Names:
    """Actual names back to logic names, for column definitions and error texts.

    `tables` maps (data source's actual table) → logic table; `database` is the logic database. Keys compare exactly.
    Where tables of several logic databases may be named, `schemas` maps (data source's schema) → logic database. `columns` maps
    columns that keep encrypted values → logic columns.
    """

    database: str
    tables: Mapping[str, str]
    schemas: Mapping[str, str] = field(default_factory=dict, repr=False)
    columns: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class SideEffects:
    """What a statement may change on the connection that runs it: user variables it assigns (lower case) and, with
    `insert_id`, LAST_INSERT_ID()."""

    variables: tuple[str, ...] = ()
    insert_id: bool = False


class BoundStatement(NamedTuple):
    """A plan with its values: what to send where, and how the answers become one.

    * `keeps_parameters`: the shots still contain `?` and can be prepared on the shards; otherwise parameters are
      written into the SQL.
    * `parameters`: which of the client's parameters each shot takes, in the order of its `?`; None for all, as the client
      wrote them; none at all where their values are written in and the statement is prepared for its rows' sake.
    * `generated_id`: first key the mesh generated for this INSERT, None when it generated none.
    * `alternative`: what to run instead when the merge turns out, by the columns' types, not to be exact.
    * `gives_id`: the client itself gives the ids of the rows: what a shard calls their insert id is not LAST_INSERT_ID().
    * `effects`: what the session has to take over from the only connection that runs it.
    * `skips`: how many rows the only data source that runs a query is to skip (OFFSET): FOUND_ROWS() counts those it found.
    * `own`: where the shots' columns are not the client's statement's, what to ask for these.
    * `shadow`: where it has been taken, None for production.
    * `in_steps`: the same write as a query of its rows and writes by their keys, where it can be one.
    * `repeated`: the client's query as the data node of a shot (its place) would run it over each of its rows so many times.
    * `decryption`: what the rows and columns that come out of the merge still have to become.
    * `written_in`: values are part of the shots' texts, which nobody sends again.
    * `captures`: how the rows that each shot changes are told, where somebody has asked that already.
    """

    shots: tuple[Shot, ...]
    answer: Answer
    names: Names
    keeps_parameters: bool = False
    generated_id: int | None = None
    alternative: Callable[[MeshError], BoundStatement] | None = None
    parameters: tuple[int, ...] | None = None
    effects: SideEffects | None = None
    own: Question | None = None
    gives_id: bool = False
    skips: int = 0
    repeated: Callable[[int, int], OwnStatement] | None = None
    in_steps: Callable[[], BoundStatement] | None = None
    decryption: Decryption | None = None
    written_in: bool = False
    shadow: ShadowSide | None = None
    captures: tuple[Capture, ...] = ()


class KeyGenerator(Protocol):
    """Source of generated keys; the clock and the worker id live behind it."""

    def next_key(self) -> int | str:
        """A new key, never returned before."""
        ...

    def number(self, given: Sequence[object]) -> Sequence[int | str | None]:
        """The keys of one statement's rows in order: a new one for every None of `given`, the values that rows have
        already. Raises KeysNeeded when new numbers must be leased first."""
        ...


@dataclass(slots=True)
class Call:
    """Everything `bind` may look at. `literals` are the raw SQL texts of the statement's literal slots in order (a
    folded list or row set is one slot: a list of its members' texts); `parameters` are the decoded `?` values.
    `keep_parameters` asks for a shot that can be prepared on the shard, where the plan allows it. `among_rows`: a row that is
    inserted is one of several of the client's statement. `settled`: whether it is the shadow's has been decided for a larger one."""

    literals: Sequence[object]
    session: SessionView
    parameters: Sequence[SqlValue] = ()
    keep_parameters: bool = False
    key_generators: Mapping[str, KeyGenerator] = field(default_factory=dict)
    among_rows: bool = False
    settled: bool = False


class DirectWay(Protocol):
    """From values straight to the only shot of a statement, the same that `bind` would give, as (data source, SQL).
    None where `bind` must decide."""

    @property
    def names(self) -> Names: ...

    def text(self, literals: Sequence[object]) -> tuple[str, bytes] | None:
        """The shot of a text statement."""
        ...

    def prepared(
        self, literals: Sequence[object], parameters: Sequence[SqlValue]
    ) -> tuple[str, bytes] | None:
        """The shot of a prepared statement, its `?` kept."""
        ...


class ShardPlan(Protocol):
    """A plan that reaches data sources.

    * `reads_only`: neither writes nor locks rows.
    * `from_replica`: a replica's rows will do: it reads tables, calls nothing that may write, and no hint asks for the primary.
    * `repeatable`: a replica may be asked what another one has failed: it leaves nothing behind, and does not wait on purpose.
    * `opens_transaction`: inside BEGIN or autocommit=0 the touched data sources join the transaction.
    * `implicit_commit`: commits the open transaction first (DDL).
    * `pin`: the session keeps the connection afterwards, and why.
    * `calculates_found_rows`: SQL_CALC_FOUND_ROWS or another reason why FOUND_ROWS() differs from the rows returned.
    * `reads_clock`: its text, or a column it leaves to its default, takes the current time.
    * `keeps_warnings`: it uses no table, not even a derived one: on MariaDB the warnings before it stay.
    * `direct`: how to reach the only shot without `bind`, where its answer passes to the client as it is.
    """

    @property
    def verb(self) -> Verb: ...
    @property
    def tables(self) -> tuple[str, ...]: ...
    @property
    def reads_only(self) -> bool: ...
    @property
    def from_replica(self) -> bool: ...
    @property
    def repeatable(self) -> bool: ...
    @property
    def opens_transaction(self) -> bool: ...
    @property
    def implicit_commit(self) -> bool: ...
    @property
    def pin(self) -> PinReason | None: ...
    @property
    def calculates_found_rows(self) -> bool: ...
    @property
    def reads_clock(self) -> bool: ...
    @property
    def keeps_warnings(self) -> bool: ...
    @property
    def direct(self) -> DirectWay | None: ...

    def bind(self, call: Call) -> BoundStatement:
        """Shots and answer for these values. Pure. Raises MeshError (no route, refused combination)."""
        ...

    def prototype(self, literals: Sequence[object] = ()) -> Shot | Federation:
        """The client's statement on one data node, `?` and these literals kept and nothing hidden added: what PREPARE
        asks a shard to learn the definitions of parameters and columns. A federation when only a merge node can tell; its scans have no
        shots."""
        ...


Plan = ShardPlan | SessionStatement
