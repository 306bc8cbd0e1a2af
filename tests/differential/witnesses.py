"""Other plain servers with the same rows, and other plans of one: where they answer a statement differently, it has no one
answer, and the mesh must give one of theirs.

Decides which servers, settings and spellings count as the same statement, and what of an answer each of them tells. Holds
no tolerance: whatever is excused, some plain server has said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Flag, auto

from tests.differential.client import Answer, Client, read_definition
from tests.differential.compare import Difference, leaves_values, without_count
from tests.differential.layouts import SHARDED
from tests.differential.plans import (
    buffered,
    forced,
    in_another_order,
    inner,
    join_orders,
    nested,
    of_a_join,
    reordered,
    told_of_columns,
    unhinted,
    unlimited,
    unplanned,
)
from tests.differential.tree import (
    Compound,
    Executed,
    Insert,
    Part,
    Script,
    Select,
    Write,
    write,
    write_prepared,
)
from tests.differential.values import Value


class Tells(Flag):
    """What of a witness's answer counts."""

    VALUES = auto()
    COLUMNS = auto()
    WARNINGS = auto()
    SAME_ROWS = auto()
    """The warnings, if its rows are those of the statement itself."""
    ALL = VALUES | COLUMNS | WARNINGS


@dataclass(frozen=True)
class Plain:
    """A plain server: the `suffix` of its schema, and settings of its optimizer."""

    suffix: str = ""
    settings: str = ""
    tells: Tells = Tells.ALL
    rolls_back: bool = True


SHUFFLED, SPREAD = "_shuffled", "_spread"
KEYLESS = (SHUFFLED, SPREAD)
"""Without keys and indexes: rows come in the order in which they were stored."""
PARTITIONED, INDEXED, ANALYZED, COUNTED = "_partitioned", "_indexed", "_analyzed", "_counted"
OUTDATED = {table: f"_outdated_{table}" for table in SHARDED}
"""Whose statistics say that this table is empty."""

_NO_REWRITING = (
    "optimizer_switch='semijoin=off,materialization=off,derived_merge=off,"
    "condition_pushdown_for_derived=off,condition_pushdown_for_subquery=off,exists_to_in=off'"
)

SERVERS = (
    Plain(),
    # Backwards: other rows come first, and nothing is found by an index.
    Plain(SHUFFLED, tells=Tells.VALUES | Tells.WARNINGS),
    # Those of one data node after those of another.
    Plain(SPREAD, tells=Tells.VALUES | Tells.WARNINGS),
    Plain(PARTITIONED),
    # By every column: fewer rows are looked at. A column's flags tell of its index.
    Plain(INDEXED, tells=Tells.VALUES | Tells.WARNINGS),
    Plain(ANALYZED),
    # An engine that knows how many rows it has: tables of one row are constants, and subqueries on them.
    Plain(COUNTED, rolls_back=False),
    # Joins begin with the table that was empty when it was analyzed.
    *map(Plain, OUTDATED.values()),
    Plain(settings=_NO_REWRITING),
    Plain(SHUFFLED, _NO_REWRITING, Tells.VALUES | Tells.WARNINGS),
    # No subquery is run before the statement's rows are read.
    Plain(settings="expensive_subquery_limit=0"),
    Plain(settings="optimizer_switch='in_to_exists=off'"),
    Plain(settings="optimizer_switch='subquery_cache=off,mrr=off,index_condition_pushdown=off'"),
    Plain(settings="join_cache_level=0, optimizer_search_depth=1"),
    Plain(settings="join_cache_level=8, optimizer_switch='mrr=on,optimize_join_buffer_size=off'"),
    Plain(settings="optimizer_use_condition_selectivity=1, optimizer_prune_level=0"),
    Plain(
        SHUFFLED, "join_cache_level=0, optimizer_use_condition_selectivity=1", Tells.VALUES | Tells.WARNINGS
    ),
)
_FOR_REWRITINGS = (SERVERS[0], SERVERS[1], Plain(settings="join_cache_level=0"))
_REWRITINGS: tuple[tuple[Callable[[Part], Iterator[Part]], Tells], ...] = (
    (buffered, Tells.COLUMNS | Tells.WARNINGS),
    (unplanned, Tells.COLUMNS),
    (unlimited, Tells.WARNINGS),
    (join_orders, Tells.ALL),
    (reordered, Tells.ALL),
    (inner, Tells.SAME_ROWS),
    (of_a_join, Tells.WARNINGS),
    (in_another_order, Tells.ALL),
    (unhinted, Tells.COLUMNS | Tells.WARNINGS),
    (forced, Tells.COLUMNS | Tells.WARNINGS),
    (nested, Tells.VALUES),
)
_EVERY_WARNING = "SET max_error_count=65535"


@dataclass(frozen=True)
class Reply:
    """What a statement was answered and what it stored."""

    answer: Answer
    stored: tuple[Answer, ...] = ()
    tells: Tells = Tells.ALL


@dataclass(frozen=True)
class Asked:
    """One run of a statement: how it is sent, and with which of its values. `step` counts the runs of a prepared one, or the
    steps of a script."""

    statement: Part
    prepared: bool = False
    other: bool = False
    step: int = 0

    @property
    def tables(self) -> Sequence[str]:
        """The tables it changes."""
        return sorted(self.statement.tables) if isinstance(self.statement, Write | Script) else ()

    def is_fair_to(self, server: Plain) -> bool:
        """Whether the server would store what any other does: none is asked to undo what it cannot, or for rows that a key
        would refuse."""
        inserts = isinstance(self.statement, Script) or (
            isinstance(self.statement, Write) and isinstance(self.statement.body, Insert)
        )
        return not self.tables or (server.rolls_back and not (inserts and server.suffix in KEYLESS))


class Witnesses:
    """Sessions at the plain servers, connected when they are first asked."""

    def __init__(self, connect: Callable[[str], Client]) -> None:
        self._connect = connect
        self._clients: dict[Plain, Client] = {}

    def close(self) -> None:
        """Ends the sessions."""
        for client in self._clients.values():
            client.socket.close()
        self._clients.clear()

    def replies(self, asked: Asked) -> Iterator[Reply]:
        """What they say to it, one after another."""
        for server in SERVERS:
            if asked.is_fair_to(server):
                client = self._client(server)
                fair = asked
                if server.suffix in KEYLESS and not isinstance(asked.statement, Script):
                    # It has no indexes to hint at.
                    fair = replace(asked, statement=next(unhinted(asked.statement), asked.statement))
                for answer, stored in self._run(client, fair):
                    yield Reply(_renamed(answer, server.suffix), stored, server.tells)
        if not isinstance(asked.statement, Script):
            yield from self._rewritten(asked)
        elif (alone := _alone(asked.statement.steps[asked.step])) is not None:
            # The query in other spellings, without the session that came before.
            yield from (replace(reply, tells=reply.tells & ~Tells.VALUES) for reply in self._rewritten(alone))

    def _client(self, server: Plain) -> Client:
        if server not in self._clients:
            client = self._clients[server] = self._connect(server.suffix)
            client.ask(_EVERY_WARNING)
            if server.settings:
                client.ask(f"SET {server.settings}")
        return self._clients[server]

    def _run(self, client: Client, asked: Asked) -> Iterator[tuple[Answer, tuple[Answer, ...]]]:
        statement = asked.statement
        client.ask("BEGIN")
        try:
            if isinstance(statement, Script):
                answers = [
                    client.ask_with_warnings(write(step)) for step in statement.steps[: asked.step + 1]
                ]
                yield answers[-1], ()
                if isinstance(last := statement.steps[asked.step], Executed):
                    # Prepared anew: MariaDB resolves some statements only once.
                    client.ask(write(statement.steps[0]))
                    yield client.ask_with_warnings(write(last)), ()
            else:
                answer = _sent(client, asked)
                yield answer, tuple(client.ask(f"SELECT * FROM {table}") for table in asked.tables)
        finally:
            client.ask("ROLLBACK")
        if asked.prepared and isinstance(statement, Write):
            yield from self._written_again(client, asked)
        if asked.prepared and not isinstance(statement, Write | Script):
            # MariaDB keeps what some subqueries found with the values before, and orders by some parameters wrongly.
            yield _kept(client, statement, asked.step), ()
            yield client.ask_with_warnings(write(statement, other=asked.other)), ()

    @staticmethod
    def _written_again(client: Client, asked: Asked) -> Iterator[tuple[Answer, tuple[Answer, ...]]]:
        """A prepared write that was run before with other values."""
        text, values = write_prepared(asked.statement, other=asked.other)
        handle = client.prepare_statement(text)
        if isinstance(handle, Answer):
            return
        for arguments in (write_prepared(asked.statement, other=not asked.other)[1], values):
            client.ask("BEGIN")
            answer = client.run(handle, arguments)
            stored = tuple(client.ask(f"SELECT * FROM {table}") for table in asked.tables)
            client.ask("ROLLBACK")
        client.close_statement(handle)
        yield answer, stored

    def _rewritten(self, asked: Asked) -> Iterator[Reply]:
        for rewriting, tells in _REWRITINGS:
            if rewriting is join_orders and not isinstance(asked.statement, Write):
                # `*` gives the columns in the order of the tables.
                tells &= ~Tells.VALUES
            for statement in rewriting(asked.statement):
                for server in filter(asked.is_fair_to, _FOR_REWRITINGS):
                    client = self._client(server)
                    for answer, stored in self._run(client, replace(asked, statement=statement, step=0)):
                        yield Reply(
                            _renamed(answer, server.suffix), stored, tells & (server.tells | Tells.SAME_ROWS)
                        )


def _alone(step: Part) -> Asked | None:
    """The query of a script's step that needs nothing of the steps before; None where there is none."""
    if isinstance(step, Executed):
        return Asked(step.query, prepared=True, other=step.other)
    return Asked(step) if isinstance(step, Select | Compound) and "@" not in write(step) else None


def _renamed(answer: Answer, suffix: str) -> Answer:
    """The answer without the name of the schema's copy in its warnings."""
    if not suffix:
        return answer
    shown = tuple((*one[:2], (one[2] or b"").replace(f"{suffix}`".encode(), b"`")) for one in answer.shown)
    return replace(answer, shown=shown)


def _sent(client: Client, asked: Asked) -> Answer:
    if asked.prepared:
        return once(client, *write_prepared(asked.statement, other=asked.other))
    return client.ask_with_warnings(write(asked.statement, other=asked.other))


def once(client: Client, text: str, values: Sequence[Value]) -> Answer:
    """Prepared, run and closed."""
    handle = client.prepare_statement(text)
    if isinstance(handle, Answer):
        return handle
    answer = client.run(handle, values)
    client.close_statement(handle)
    return answer


def _kept(client: Client, statement: Part, runs: int) -> Answer:
    """Prepared, and run with the values in turn; the answer of the last run."""
    text, values = write_prepared(statement)
    _, others = write_prepared(statement, other=True)
    handle = client.prepare_statement(text)
    if isinstance(handle, Answer):
        return handle
    answers = [client.run(handle, others if turn % 2 else values) for turn in range(runs + 1)]
    client.close_statement(handle)
    return answers[-1]


def settle(
    found: Sequence[Difference],
    mesh: Reply,
    plain: Reply,
    replies: Iterable[Reply],
    differs: Callable[[Reply], Sequence[Difference]],
) -> list[Difference]:
    """Those of the differences between mesh and plain that no witness explains. Values, errors and counts must be one
    witness's, all of them together. Each part of a column definition must be told by one. Warnings are open where witnesses
    warn differently: then each of the mesh's must be one that a witness gives, and it must give those that all give;
    their number alone is open."""
    open_kinds = {difference.kind for difference in found}
    values = {kind for kind in open_kinds if not leaves_values(kind)}
    columns = {kind for kind in open_kinds if kind.startswith("columns.")}
    warnings = {kind for kind in open_kinds if kind.startswith("warnings.")}
    told, heard = [plain.answer], _Heard(plain.answer)
    columns = columns if len(mesh.answer.columns) == len(plain.answer.columns) else set()
    for reply in replies:
        if reply.answer.error and not values:
            continue
        alike = Tells.SAME_ROWS in reply.tells and _same_rows(reply, plain)
        if columns and (alike or Tells.COLUMNS in reply.tells):
            told += _in_the_order_of(plain.answer, reply.answer)
            if told_of_columns(mesh.answer, told):
                open_kinds -= columns
        if (alike or Tells.WARNINGS in reply.tells) and not reply.answer.error:
            heard.hear(reply.answer)
            if warnings and heard.explains(mesh.answer):
                open_kinds -= warnings
        if Tells.VALUES in reply.tells:
            if values and not any(not leaves_values(one.kind) for one in differs(reply)):
                open_kinds -= values
            same = without_count if warnings and not warnings & open_kinds else bytes
            if same(mesh.answer.info) == same(reply.answer.info):
                open_kinds.discard("info")
        if not open_kinds:
            break
    counted_alike = without_count(mesh.answer.info) == without_count(plain.answer.info)
    if counted_alike and warnings and not warnings & open_kinds:
        open_kinds.discard("info")
    return [difference for difference in found if difference.kind in open_kinds]


_ROW = re.compile(rb"(?<= at row )\d+\Z")
_Shown = tuple[bytes | None, ...]


def _in_the_order_of(plain: Answer, other: Answer) -> Iterator[Answer]:
    """The other answer with its columns in plain's order: `*` gives them in the order of the tables. Nothing where it has
    others."""
    wanted, found = ([_name(column) for column in one.columns] for one in (plain, other))
    named_alike = [name for _, name in wanted] == [name for _, name in found]
    if wanted == found or (named_alike and Counter(wanted) != Counter(found)):
        # A temporary table may hide which table a column is of.
        yield other
    elif len(set(found)) == len(found) and set(wanted) == set(found):
        by_name = dict(zip(found, other.columns, strict=True))
        yield replace(other, columns=tuple(by_name[name] for name in wanted))


def _name(column: bytes) -> tuple[bytes, bytes]:
    definition = read_definition(column)
    return definition.table, definition.name


def _same_rows(one: Reply, other: Reply) -> bool:
    """Whether they have given and stored the same."""
    left, right = (one.answer, *one.stored), (other.answer, *other.stored)
    return one.answer.affected == other.answer.affected and all(
        len(a.columns) == len(b.columns) and Counter(a.cells()) == Counter(b.cells())
        for a, b in zip(left, right, strict=True)
    )


class _Heard:
    """What plain servers have warned of."""

    def __init__(self, plain: Answer) -> None:
        self._first = _sorted(plain)
        self._differ = False
        self._ever: set[_Shown] = set()
        self._always: set[_Shown] | None = None
        self._numbered: dict[_Shown, set[frozenset[_Shown]]] = {}

    def hear(self, answer: Answer) -> None:
        """One more."""
        shown = set(answer.shown)
        self._ever |= shown
        self._always = shown if self._always is None else self._always & shown
        self._differ = self._differ or _sorted(answer) != self._first
        numbered: dict[_Shown, set[_Shown]] = {}
        for one in shown:
            numbered.setdefault(_unnumbered(one), set()).add(one)
        for one, found in numbered.items():
            self._numbered.setdefault(one, set()).add(frozenset(found))

    def explains(self, mesh: Answer) -> bool:
        """Whether one server may warn so. Rows are numbered as they are read: where servers give the same warning of other
        rows, the number is open."""
        shown = set(mesh.shown)
        foreign = [one for one in shown - self._ever if len(self._numbered.get(_unnumbered(one), ())) < 2]
        missing = {_unnumbered(one) for one in self._always or ()} - set(map(_unnumbered, shown))
        cut = len(mesh.shown) < mesh.warnings
        return self._differ and not foreign and (not missing or cut)


def _unnumbered(shown: _Shown) -> _Shown:
    return (*shown[:2], _ROW.sub(b"", shown[2] or b""))


def _sorted(answer: Answer) -> tuple[int, list[str]]:
    return answer.warnings, sorted(map(repr, answer.shown))
