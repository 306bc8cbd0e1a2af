"""The plan cache: exact text first, then the text without the number it ends in, then shape with its pinned literals.

Decides which statements share a plan. One cache belongs to one planner, that is to one rule-set revision and one
catalog; a new planner starts with an empty cache. Bounded in entries and bytes. What is least recently used goes by
generations: a full young generation becomes the old one, and what was in neither dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from dbmesh.errors import not_supported
from dbmesh.planner.masked.masks import ReaderMasks, masks_for
from dbmesh.planner.masked.references import INSTEAD
from dbmesh.planner.masked.statement import Outcome, Passed, Rewritten
from dbmesh.planner.plan import Plan
from dbmesh.planner.planner import Planner
from dbmesh.planner.views import Expansion, NamesView
from dbmesh.rules.privileges import Privileges
from dbmesh.sql.digest import Digest, digest_of
from dbmesh.sql.fingerprint import Fingerprint, ends_in_its_literal, take_out_literals
from dbmesh.sql.lexer import DEFAULT, LexerFlags
from dbmesh.sql.parse import Unreadable
from dbmesh.sql.secrets import holds_secret

K = TypeVar("K")
V = TypeVar("V")

_MOST_VARIANTS = 256
"""Plans of one shape that differ in pinned literals; beyond it only the same text shares a plan."""
_DIGITS = "0123456789"
_LONGEST_TEXT = 16_384
"""Longer texts are found by their shape alone, in characters."""
_MOST_READERS = 256
"""Sets of names of users whose masked plans are kept."""
_DEEPEST_VIEWS = 32
"""Views over views that are put in place one after another."""
_MOST_PRIVILEGES = 128
"""Different privileges whose plans are kept."""
_ENTRY = 200
"""Bytes an entry costs beside its text, roughly."""


class Generations(Generic[K, V]):
    """A bounded mapping that forgets what was not used lately. A hit in the young generation costs one look-up; who
    is in a hurry asks `young` first."""

    __slots__ = ("_limit", "_old", "_weight", "young")

    def __init__(self, limit: int) -> None:
        self._limit = max(1, limit // 2)
        self.young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._weight = 0

    def get(self, key: K) -> V | None:
        """The value, or None."""
        value = self.young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value; `weight` counts towards the limit."""
        self._weight += weight
        if self._weight > self._limit:
            self._old, self.young, self._weight = self.young, {}, weight
        self.young[key] = value

    def __len__(self) -> int:
        return len(self.young) + len(self._old)


class _Shape:
    """The plans of one shape: the `only` one, or by the texts of the literals any of them depends on."""

    __slots__ = ("only", "pinned", "plans")

    def __init__(self) -> None:
        self.only: Plan | None = None
        self.pinned: tuple[int, ...] = ()
        self.plans: dict[tuple[str, ...], Plan] = {}

    def find(self, literals: Sequence[object]) -> Plan | None:
        """The plan for these literals; `only` is it for all."""
        return self.plans.get(self._key(literals))

    def keep(self, plan: Plan, pinned: frozenset[int], literals: Sequence[object]) -> None:
        if not pinned.issubset(self.pinned) or len(self.plans) >= _MOST_VARIANTS:
            # A plan that depends on more literals than the others: all keys would have to change.
            self.pinned = tuple(sorted(pinned.union(self.pinned)))
            self.plans = {}
        self.plans[self._key(literals)] = plan
        self.only = None if self.pinned else plan

    def _key(self, literals: Sequence[object]) -> tuple[str, ...]:
        return tuple([str(literals[index]) for index in self.pinned])


class _Scope:
    """What is known under one current database and one way of reading text, and may be used with these privileges."""

    __slots__ = ("expansions", "heads", "privileges", "shapes", "texts")

    def __init__(self, size: int, text_bytes: int, privileges: Privileges | None = None) -> None:
        self.privileges = privileges
        self.texts: Generations[str, tuple[Plan, Sequence[object]]] = Generations(text_bytes)
        self.heads: Generations[str, Plan] = Generations(text_bytes)
        self.shapes: Generations[str, _Shape] = Generations(size)
        # Statements that name views are planned, and found again, as what they stand for.
        self.expansions: Generations[str, Expansion] = Generations(size)


class Asked(NamedTuple):
    """A statement that was planned: as `PlanCache.lookup` is given it."""

    text: str
    database: str | None
    privileges: Privileges | None


class PlanCache:
    """Plans by statement text. `size` bounds the shapes, `text_bytes` the characters kept for exact texts, each for one
    current database and one way of reading text.

    Only texts without literals are kept as texts: others rarely come twice, and their shape finds them. A *head* is a
    text whose only literal is the unsigned integer it ends in, without that integer. A fingerprint looks at the kind of
    a digit, never at its value, so another text of the same head differs in this literal alone.
    """

    def __init__(self, planner: Planner, size: int = 4096, text_bytes: int = 4 << 20) -> None:
        self.planner = planner
        self.hits = 0
        self.misses = 0
        self._size = size
        self._text_bytes = text_bytes
        self._scopes: dict[str | None, _Scope] = {}
        self._digests: Generations[int, tuple[Plan, Digest]] = Generations(size)
        self._limited: Generations[Privileges, dict[str | None, _Scope]] = Generations(_MOST_PRIVILEGES)
        self._unusual: Generations[tuple[str | None, LexerFlags, Privileges | None], _Scope] = Generations(
            _MOST_PRIVILEGES
        )
        self.has_masks = bool(planner.rule_set.masks) or any(one.masks for one in planner.databases.values())
        self._seen: dict[frozenset[str], PlanCache | MaskedPlans] = {}

    def lookup(
        self,
        text: str,
        database: str | None,
        flags: LexerFlags = DEFAULT,
        privileges: Privileges | None = None,
    ) -> tuple[Plan, Sequence[object]]:
        """The plan of a statement and its literals for `Call.literals`. What is found for some `privileges` has been planned, and
        allowed, for them; None is for statements nobody is asked about. Raises as `Planner.plan` does."""
        scope = None
        if flags is DEFAULT:
            scopes = self._scopes if privileges is None else self._limited.young.get(privileges)
            scope = None if scopes is None else scopes.get(database)
        if scope is None:
            scope = self._scope(database, flags, privileges)
        known = scope.texts.young.get(text)
        if known is not None:
            self.hits += 1
            return known
        head = text.rstrip(_DIGITS)
        plan = scope.heads.young.get(head)
        if plan is not None and len(head) < len(text):
            self.hits += 1
            return plan, [text[len(head) :]]
        shape, literals = take_out_literals(text, flags)
        entry = scope.shapes.young.get(shape)
        plan = None if entry is None else entry.only or entry.find(literals)
        if plan is None or not literals or literals == [text[len(head) :]]:
            return self._look_closer(scope, text, head, Fingerprint(shape, literals), database, flags)
        self.hits += 1
        return plan, literals

    def digest(self, plan: Plan, text: str, flags: LexerFlags = DEFAULT) -> Digest:
        """The digest of a statement with this plan and text. O(1) where the plan is known, else O(text)."""
        # The plan is kept beside, so that nothing else can get its id meanwhile.
        known = self._digests.get(id(plan))
        if known is None:
            known = plan, digest_of(take_out_literals(text, flags)[0], flags)
            self._digests.put(id(plan), known)
        return known[1]

    def asked(self) -> list[Asked]:
        """Statements that were asked lately. What is found by its shape is told as that, which is a text of the same shape. O(plans)."""
        limited = [(privileges, scopes) for privileges, scopes in self._limited.young.items()]
        return [
            Asked(text, database, privileges)
            for privileges, scopes in ((None, self._scopes), *limited)
            for database, scope in scopes.items()
            for text in (*scope.texts.young, *(f"{head}1" for head in scope.heads.young), *scope.shapes.young)
        ]

    def _look_closer(
        self,
        scope: _Scope,
        text: str,
        head: str,
        found: Fingerprint,
        database: str | None,
        flags: LexerFlags,
    ) -> tuple[Plan, Sequence[object]]:
        """Among what was not used lately; else the statement is planned. Either way it is found sooner next time."""
        known = scope.texts.get(text)
        if known is not None:
            self.hits += 1
            return known
        shape, literals = found
        entry = scope.shapes.get(shape)
        plan = entry.find(literals) if entry is not None else None
        if plan is not None:
            self.hits += 1
        else:
            expansion = scope.expansions.get(shape)
            if expansion is not None:
                return self.lookup(expansion.text(literals), database, flags)
            self.misses += 1
            try:
                planned = self.planner.plan(found, flags, database, scope.privileges)
            except NamesView as view:
                if view.expansion is None:
                    raise
                if view.expansion.reusable:
                    scope.expansions.put(shape, view.expansion)
                return self.lookup(view.expansion.text(literals), database, flags)
            plan = planned.plan
            if planned.pinned is None:
                # A password stays no longer than its statement.
                if len(text) <= _LONGEST_TEXT and not holds_secret(text):
                    scope.texts.put(text, (plan, literals), len(text) + _ENTRY)
                return plan, literals
            if len(shape) <= _LONGEST_TEXT:
                if entry is None:
                    entry = _Shape()
                    scope.shapes.put(shape, entry)
                entry.keep(plan, planned.pinned, literals)
        if len(text) <= _LONGEST_TEXT:
            if not literals:
                scope.texts.put(text, (plan, literals), len(text) + _ENTRY)
            elif entry is not None and entry.only is plan and ends_in_its_literal(text, head, flags):
                scope.heads.put(head, plan, len(head) + _ENTRY)
        return plan, literals

    def seen_by(self, principals: frozenset[str]) -> PlanCache | MaskedPlans:
        """The plans of statements of users with these names (their own and those of their roles): others where they read some
        columns masked. O(1) for names seen before."""
        found = self._seen.get(principals)
        if found is None:
            planner = self.planner
            masks = masks_for(planner.rule_set, planner.catalog, principals, planner.databases.values())
            found = self if masks is None else MaskedPlans(self, masks, self._size)
            if len(self._seen) >= _MOST_READERS:
                self._seen.clear()
            self._seen[principals] = found
        return found

    def _scope(self, database: str | None, flags: LexerFlags, privileges: Privileges | None) -> _Scope:
        if flags != DEFAULT:
            key = database, flags, privileges
            unusual = self._unusual.get(key)
            if unusual is None:
                unusual = _Scope(self._size, self._text_bytes, privileges)
                self._unusual.put(key, unusual)
            return unusual
        scopes = self._scopes
        if privileges is not None:
            limited = self._limited.get(privileges)
            if limited is None:
                self._limited.put(privileges, limited := {})
            scopes = limited
        return scopes.setdefault(database, _Scope(self._size, self._text_bytes, privileges))


class MaskedPlans:
    """Plans for readers with masks: of the statements that theirs stand for, from the cache that everybody shares."""

    def __init__(self, plans: PlanCache, masks: ReaderMasks, size: int) -> None:
        self._plans = plans
        self._masks = masks
        self._known: Generations[tuple[str, str | None, LexerFlags], Outcome] = Generations(size)

    def lookup(
        self, text: str, database: str | None, flags: LexerFlags = DEFAULT
    ) -> tuple[Plan, Sequence[object]]:
        """See `PlanCache`. Raises MeshError(NOT_SUPPORTED) too for what might tell a masked value."""
        for _ in range(_DEEPEST_VIEWS):
            shape, literals = take_out_literals(text, flags)
            outcome = self._known.get((shape, database, flags))
            if outcome is None:
                outcome = self._plans.planner.masked(
                    Fingerprint(shape, literals), flags, database, self._masks
                )
                reusable = (
                    outcome.expansion.reusable if isinstance(outcome, Rewritten) else outcome is Passed.ALWAYS
                )
                if reusable and len(shape) <= _LONGEST_TEXT:
                    self._known.put((shape, database, flags), outcome)
            if not isinstance(outcome, Rewritten):
                return self._plans.lookup(text, database, flags)
            text = outcome.expansion.text(literals)
            if outcome.complete:
                try:
                    return self._plans.lookup(text, database, flags)
                except Unreadable:
                    # Its words would show how values are masked.
                    raise not_supported("a statement of this form over masked columns", INSTEAD) from None
        raise not_supported("views nested this deep over masked columns", "name their tables")
