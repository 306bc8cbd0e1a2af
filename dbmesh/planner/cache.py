"""The plan cache: exact text first, then shape with its pinned literals.

Decides which statements share a plan. One cache belongs to one planner, that is to one rule-set revision and one
catalog; a new planner starts with an empty cache. Bounded in entries and bytes. What is least recently used goes by
generations: a full young generation becomes the old one, and what was in neither dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from dbmesh.planner.plan import Plan
from dbmesh.planner.planner import Planner
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import DEFAULT, LexerFlags

K = TypeVar("K")
V = TypeVar("V")

_MOST_VARIANTS = 256
"""Plans of one shape that differ in pinned literals; beyond it only the same text shares a plan."""
_LONGEST_TEXT = 16_384
"""Longer texts are found by their shape alone, in characters."""


class Generations(Generic[K, V]):
    """A bounded mapping that forgets what was not used lately. A hit in the young generation costs one look-up."""

    __slots__ = ("_limit", "_old", "_weight", "_young")

    def __init__(self, limit: int) -> None:
        self._limit = max(1, limit // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._weight = 0

    def get(self, key: K) -> V | None:
        """The value, or None."""
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value; `weight` counts towards the limit."""
        self._weight += weight
        if self._weight > self._limit:
            self._old, self._young, self._weight = self._young, {}, weight
        self._young[key] = value

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class _Shape:
    """The plans of one shape: by the texts of the literals any of them depends on."""

    __slots__ = ("pinned", "plans")

    def __init__(self) -> None:
        self.pinned: tuple[int, ...] = ()
        self.plans: dict[tuple[str, ...], Plan] = {}

    def find(self, literals: Sequence[object]) -> Plan | None:
        if not self.pinned:
            return self.plans.get(())
        return self.plans.get(self._key(literals))

    def keep(self, plan: Plan, pinned: frozenset[int], literals: Sequence[object]) -> None:
        if not pinned.issubset(self.pinned) or len(self.plans) >= _MOST_VARIANTS:
            # A plan that depends on more literals than the others: all keys would have to change.
            self.pinned = tuple(sorted(pinned.union(self.pinned)))
            self.plans = {}
        self.plans[self._key(literals)] = plan

    def _key(self, literals: Sequence[object]) -> tuple[str, ...]:
        return tuple([str(literals[index]) for index in self.pinned])


class _Scope:
    """What is known under one current database and one way of reading text."""

    __slots__ = ("shapes", "texts")

    def __init__(self, size: int, text_bytes: int) -> None:
        self.texts: Generations[str, tuple[Plan, Sequence[object]]] = Generations(text_bytes)
        self.shapes: Generations[str, _Shape] = Generations(size)


class PlanCache:
    """Plans by statement text. `size` bounds the shapes, `text_bytes` the characters kept for exact texts, each for one
    current database and one way of reading text.

    Only texts without literals are kept as texts: others rarely come twice, and their shape finds them.
    """

    def __init__(self, planner: Planner, size: int = 4096, text_bytes: int = 4 << 20) -> None:
        self.planner = planner
        self.hits = 0
        self.misses = 0
        self._size = size
        self._text_bytes = text_bytes
        self._scopes: dict[str | None, _Scope] = {}
        self._unusual: dict[tuple[str | None, LexerFlags], _Scope] = {}

    def lookup(
        self, sql: str | bytes, database: str | None, flags: LexerFlags = DEFAULT
    ) -> tuple[Plan, Sequence[object]]:
        """The plan of a statement and its literals for `Call.literals`. Raises MeshError as `Planner.plan` does."""
        text = sql if isinstance(sql, str) else sql.decode("utf-8", "surrogateescape")
        scope = self._scopes.get(database) if flags is DEFAULT else None
        if scope is None:
            scope = self._scope(database, flags)
        known = scope.texts.get(text)
        if known is not None:
            self.hits += 1
            return known
        found = fingerprint(text, flags)
        shape, literals = found
        entry = scope.shapes.get(shape)
        plan = entry.find(literals) if entry is not None else None
        if plan is not None:
            self.hits += 1
        else:
            self.misses += 1
            planned = self.planner.plan(found, flags, database)
            plan = planned.plan
            if planned.pinned is None:
                if len(text) <= _LONGEST_TEXT:
                    scope.texts.put(text, (plan, literals), len(text) + _ENTRY)
                return plan, literals
            if len(shape) <= _LONGEST_TEXT:
                if entry is None:
                    entry = _Shape()
                    scope.shapes.put(shape, entry)
                entry.keep(plan, planned.pinned, literals)
        if not literals and len(text) <= _LONGEST_TEXT:
            scope.texts.put(text, (plan, literals), len(text) + _ENTRY)
        return plan, literals

    def _scope(self, database: str | None, flags: LexerFlags) -> _Scope:
        if flags == DEFAULT:
            return self._scopes.setdefault(database, _Scope(self._size, self._text_bytes))
        return self._unusual.setdefault((database, flags), _Scope(self._size, self._text_bytes))


_ENTRY = 200
"""Bytes an entry costs beside its text, roughly."""
