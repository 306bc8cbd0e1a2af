"""The session state a pooled connection carries, as a value, and the statements that lead from one to another.

Decides what must be sent so that a borrowed connection behaves like the session that borrows it. Knows nothing of
sockets or of who borrows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

ISOLATION = "transaction isolation"
ACCESS_MODE = "transaction access mode"
CHARACTERISTICS = (ISOLATION, ACCESS_MODE)
"""Pseudo-variables whose value is the text after SET SESSION TRANSACTION: their variables have other names on other
servers, their statement is the same everywhere."""
WITHOUT_DEFAULT = ("rand_seed1", "rand_seed2")
"""Session variables that no server sets to DEFAULT (error 1230)."""


CHARACTER_SETS = frozenset(
    {"character_set_client", "character_set_connection", "character_set_results", "collation_connection"}
)
"""The variables that SET NAMES sets."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """What a connection has been told. Compared on every borrow, so it is small and hashable.

    * `names`: the text after SET NAMES (`utf8mb4`, `utf8mb4 COLLATE utf8mb4_bin`).
    * `client`: the character set a client writes in where the mesh makes its text UTF-8 for the servers, else ''.
    * `variables`: session system variables, sorted by name: (name in lower case, SQL expression).
    * `user_variables`: sorted by name: (name in lower case, SQL literal).
    """

    names: str = "utf8mb4"
    variables: tuple[tuple[str, str], ...] = ()
    user_variables: tuple[tuple[str, str], ...] = ()
    client: str = ""

    def variable(self, name: str) -> str | None:
        """The expression a session variable was set to, None while it has its default."""
        return dict(self.variables).get(name)

    def user_variable(self, name: str) -> str | None:
        """The literal a user variable holds, None while it is unset."""
        return dict(self.user_variables).get(name.lower())

    def with_variable(self, name: str, expression: str | None) -> SessionState:
        """This state with one system variable set, or back at its default for None."""
        return replace(self, variables=_with(self.variables, name.lower(), expression))

    def with_names(self, names: str, client: str = "") -> SessionState:
        """This state after SET NAMES, which sets the character sets anew."""
        variables = tuple(pair for pair in self.variables if pair[0] not in CHARACTER_SETS)
        return replace(self, names=names, variables=variables, client=client)

    def with_user_variable(self, name: str, literal: str | None) -> SessionState:
        """This state with one user variable set, or unset for None."""
        return replace(self, user_variables=_with(self.user_variables, name.lower(), literal))


_UNKNOWN = ""
"""In place of a user variable's literal: no variable is set to it, so whatever one is to hold has to be said."""


_MEANS_NOTHING = frozenset((*CHARACTERISTICS, *WITHOUT_DEFAULT, "autocommit", "timestamp"))


def meaning(state: SessionState) -> tuple[object, ...]:
    """What a statement's text is read by, so far as a session says it (manual, "Server SQL Modes"): all but what many a statement has of its
    own, and what only transactions ask for. What is prepared was read then, and stays as it was. O(number of variables)."""
    variables = tuple([pair for pair in state.variables if pair[0] not in _MEANS_NOTHING])
    return state.names, state.client, variables


def forgetting(state: SessionState, user_variables: Iterable[str]) -> SessionState:
    """`state`, where nobody knows what some user variables hold."""
    for name in user_variables:
        state = state.with_user_variable(name, _UNKNOWN)
    return state


def keeping_characteristics(current: SessionState, wanted: SessionState) -> SessionState:
    """`wanted`, with what `current` has and `wanted` gave up that only a reset takes back: as near as a connection can be
    brought that must not be reset. Transaction characteristics mean the next transaction, never the one under way; O(1)."""
    for name in (*CHARACTERISTICS, *WITHOUT_DEFAULT):
        kept = current.variable(name)
        if kept is not None and wanted.variable(name) is None:
            wanted = wanted.with_variable(name, kept)
    return wanted


def _with(pairs: tuple[tuple[str, str], ...], name: str, value: str | None) -> tuple[tuple[str, str], ...]:
    changed = dict(pairs)
    changed.pop(name, None)
    if value is not None:
        changed[name] = value
    return tuple(sorted(changed.items()))


KNOWN: Mapping[str, str] = MappingProxyType({"autocommit": "1", "sql_select_limit": "18446744073709551615"})
"""What a fresh connection is told beside its character set: defaults the mesh relies on, which an administrator may have
changed on a server (SET GLOBAL)."""


@dataclass(frozen=True, slots=True)
class Transition:
    """How to reach a state: perhaps COM_RESET_CONNECTION first, then these statements in order."""

    reset: bool
    statements: tuple[str, ...]


def transition(current: SessionState, wanted: SessionState) -> Transition:
    """The shortest way from `current` to `wanted`. O(number of variables).

    A connection nothing is known of (no `names`) is told the `KNOWN` defaults too. Any other variable that must return to
    its default is SET to DEFAULT; transaction characteristics have no portable DEFAULT, and others have none at all, so
    giving one of these up resets the connection (manual: COM_RESET_CONNECTION).
    """
    before, after = dict(current.variables), dict(wanted.variables)
    reset = any(name in before and name not in after for name in (*CHARACTERISTICS, *WITHOUT_DEFAULT))
    if reset:
        before, current = {}, SessionState(names="")
    given_up = [name for name in (before if current.names else {**before, **KNOWN}) if name not in after]
    names_differ = (current.names, current.client) != (wanted.names, wanted.client)
    if names_differ or not CHARACTER_SETS.isdisjoint(given_up):
        before = {name: value for name, value in before.items() if name not in CHARACTER_SETS}
        assignments = [f"NAMES {wanted.names}"]
        assignments += ["character_set_client = utf8mb4"] if wanted.client else []
    else:
        assignments = []
    assignments += [
        f"{name} = {KNOWN.get(name, 'DEFAULT')}" for name in given_up if name not in CHARACTER_SETS
    ]
    assignments += [
        f"{name} = {expression}"
        for name, expression in after.items()
        if name not in CHARACTERISTICS and before.get(name) != expression
    ]
    users_before, users_after = dict(current.user_variables), dict(wanted.user_variables)
    assignments += [f"{_quoted(name)} = NULL" for name in users_before if name not in users_after]
    assignments += [
        f"{_quoted(name)} = {literal}"
        for name, literal in users_after.items()
        if users_before.get(name) != literal
    ]
    statements = [f"SET {', '.join(assignments)}"] if assignments else []
    statements += [
        f"SET SESSION TRANSACTION {after[name]}"
        for name in CHARACTERISTICS
        if name in after and before.get(name) != after[name]
    ]
    return Transition(reset, tuple(statements))


def _quoted(variable: str) -> str:
    """A user variable as statements name it."""
    return "@`" + variable.replace("`", "``") + "`"
