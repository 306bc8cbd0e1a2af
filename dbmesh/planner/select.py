"""SELECT: one shot where one data source holds every row, else scatter and merge, else federation.

Decides between the three when values are bound, because `id IN (?, ?)` may be one shard or two. The single shot runs
any statement form as it is; `scatter` says what several shards can do, `federation` what a merge node can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlglot import exp

from dbmesh.errors import NOT_SUPPORTED, MeshError, Refusal, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.draft import Scatter
from dbmesh.planner.federation.plan import FederationTemplate, plan_federation
from dbmesh.planner.lexemes import split_lexemes
from dbmesh.planner.names import logic_names, rename_schema_qualifiers, rename_tables, session_answers
from dbmesh.planner.native_functions import calls_others, calls_stored, waits
from dbmesh.planner.own_text import OwnText, from_the_first_row, own_text
from dbmesh.planner.plan import (
    BoundStatement,
    Call,
    Names,
    OwnStatement,
    PinReason,
    Relay,
    Shot,
    SideEffects,
    Verb,
)
from dbmesh.planner.point import Direct, Frames, PointLookup, direct, point_lookup
from dbmesh.planner.repeated_text import RepeatedText, repeated_text
from dbmesh.planner.resolve import Scopes, resolve
from dbmesh.planner.route import Router, Routing, Target, build_router, literal_slots
from dbmesh.planner.scans import Federation
from dbmesh.planner.scatter import plan_scatter
from dbmesh.planner.select_names import keep_column_names
from dbmesh.planner.side_effects import side_effects
from dbmesh.planner.template import Edits, row_count
from dbmesh.planner.unrepeatable import reads_clock
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.parse import INTO_FILE
from dbmesh.sql.shape import Slot

_RELAY = Relay()
_EFFECTS = ("assigning variables on several data nodes", "use SET @variable = …")
_LOCK_FUNCTIONS = frozenset(("GET_LOCK",))


@dataclass(frozen=True, slots=True)
class SelectPlan:
    """A `ShardPlan` for SELECT and everything that reads like it. `scatter` is how several shards answer, or why they
    cannot, `own` what tells its columns where the shards do not, `repeated` what tells its warnings apart; `federation` likewise for a merge node, None where it is
    never needed."""

    router: Router
    frames: Frames
    scatter: Scatter | Refusal
    names: Names
    tables: tuple[str, ...]
    flags: LexerFlags
    point: PointLookup | None = None
    direct: Direct | None = None
    reads_only: bool = True
    from_replica: bool = False
    repeatable: bool = False
    opens_transaction: bool = True
    pin: PinReason | None = None
    calculates_found_rows: bool = False
    reads_clock: bool = False
    keeps_warnings: bool = False
    effects: SideEffects | None = None
    verb: Verb = Verb.SELECT
    implicit_commit: bool = False
    federation: FederationTemplate | Refusal | None = None
    own: OwnText | None = None
    repeated: RepeatedText | None = None
    offset: Slot | None = None
    _scattered: Frames | None = field(default=None)

    def bind(self, call: Call) -> BoundStatement:
        """Shots and merge for these values. Raises MeshError: NO_ROUTE, NOT_SUPPORTED."""
        if self.point is not None:
            target = self.point.target(call.literals, call.parameters)
            if target is not None:
                return self._one(target, call)
        try:
            routing = self.router.route(call)
            if len(routing.targets) == 1:
                return self._one(routing.targets[0], call)
            if isinstance(self.scatter, Refusal):
                raise self.scatter.error()
            if self.effects is not None:
                raise not_supported(*_EFFECTS)
            merge = self.scatter.merge(call, self.flags)
        except MeshError as refusal:
            if refusal.kind is not NOT_SUPPORTED or self.federation is None:
                raise
            return self._federated(call, refusal)
        assert self._scattered is not None
        keep = call.keep_parameters
        frames = [self._scattered.of(target) for target in routing.targets]
        shots = tuple(
            Shot(
                target.data_source,
                frame.render(literal_slots(routing, target, call.literals), call, keep_parameters=keep),
            )
            for target, frame in zip(routing.targets, frames, strict=True)
        )
        instead = partial(self._federated, call) if self.federation is not None else None
        parameters = frames[0].parameters if keep else None
        own = None
        if self.own is not None:
            own = self.own.question(routing, call, merge)
        repeated = partial(self._repeated, routing, call) if self.repeated is not None else None
        return BoundStatement(
            shots,
            merge,
            self.names,
            keep,
            alternative=instead,
            parameters=parameters,
            own=own,
            repeated=repeated,
        )

    def _repeated(self, routing: Routing, call: Call, place: int, times: int) -> OwnStatement:
        """See `BoundStatement.repeated`."""
        assert self.repeated is not None
        target = routing.targets[place]
        return self.repeated.statement(target, literal_slots(routing, target, call.literals), call, times)

    def _federated(self, call: Call, refusal: MeshError) -> BoundStatement:
        if isinstance(self.federation, Refusal):
            raise self.federation.error()
        assert self.federation is not None
        bound = self.federation.bind(call, refusal)
        return bound._replace(effects=self.effects, skips=self._skips(call))

    def _one(self, target: Target, call: Call) -> BoundStatement:
        keep = call.keep_parameters
        sql = self.frames.of(target).render(call.literals, call, keep_parameters=keep)
        return BoundStatement(
            (Shot(target.data_source, sql),),
            _RELAY,
            self.names,
            keep,
            effects=self.effects,
            skips=self._skips(call),
        )

    def _skips(self, call: Call) -> int:
        return 0 if self.offset is None else row_count(self.offset, call, self.flags)

    def prototype(self, literals: Sequence[object] = ()) -> Shot | Federation:
        """The statement on the first node of every table; federated when no data source has one of each."""
        try:
            target = self.router.any_target()
        except MeshError:
            if not isinstance(self.federation, FederationTemplate):
                raise
            return self.federation.prototype(literals)
        return Shot(target.data_source, self.frames.of(target).prototype(literals))


def plan_select(context: PlanContext) -> SelectPlan:
    """The plan of a query. Raises MeshError: UNKNOWN_TABLE, NO_DATABASE, NOT_SUPPORTED, SHARDING_KEY_REQUIRED."""
    tree = context.statement.tree
    _refuse_everywhere(tree)
    scopes = resolve(context)
    router = build_router(context, scopes)
    edits = context.edits()
    rename_tables(context, edits, scopes.references)
    rename_schema_qualifiers(context, edits, scopes)
    session_answers(context, edits)
    keep_column_names(context, edits)
    scatter = _scatter(context, scopes, router, edits)
    pin = _pin(tree)
    frames = Frames(edits.build())
    names = logic_names(context, scopes)
    point = point_lookup(router)
    calculates_found_rows = _calculates_found_rows(tree)
    lexemes = split_lexemes(context.statement.readable)
    effects = side_effects(lexemes)
    offset = _offset(context, tree)
    through_views = _views_call_stored(context, scopes)
    may_write = through_views or calls_stored(tree)
    passes = pin is None and effects is None and not calculates_found_rows and offset is None
    reads_only = not may_write and not any(tree.find_all(exp.Lock)) and pin is None
    from_replica = (
        bool(scopes.references)
        and not context.hints.write_route_only
        and not (through_views or calls_others(tree))
    )
    return SelectPlan(
        router=router,
        frames=frames,
        scatter=scatter,
        names=names,
        tables=tuple(dict.fromkeys(reference.key for reference in scopes.references)),
        flags=context.flags,
        point=point,
        direct=direct(context, router, point, frames, names) if passes else None,
        reads_only=reads_only,
        from_replica=from_replica,
        repeatable=reads_only and from_replica and effects is None and not waits(tree),
        opens_transaction=bool(scopes.references) or may_write,
        pin=pin,
        calculates_found_rows=calculates_found_rows,
        federation=_federation(context, scopes, router),
        own=own_text(context, edits, scatter) if isinstance(scatter, Scatter) else None,
        repeated=_repeated(context, edits, scopes, scatter) if isinstance(scatter, Scatter) else None,
        reads_clock=reads_clock(lexemes),
        keeps_warnings=not scopes.references and not _reads_derived(tree),
        effects=effects,
        offset=offset,
        _scattered=Frames(scatter.template) if isinstance(scatter, Scatter) else None,
    )


def _scatter(context: PlanContext, scopes: Scopes, router: Router, edits: Edits) -> Scatter | Refusal:
    if not router.spreads:
        return Refusal.of(not_supported("this statement on several data nodes", "it names no sharded table"))
    try:
        return plan_scatter(context, scopes, router, edits)
    except MeshError as refusal:
        return Refusal.of(refusal)


def _repeated(context: PlanContext, edits: Edits, scopes: Scopes, scatter: Scatter) -> RepeatedText | None:
    return repeated_text(context, from_the_first_row(context, edits, scatter), scopes)


def _federation(context: PlanContext, scopes: Scopes, router: Router) -> FederationTemplate | Refusal | None:
    """What is left when no shard and no merge can answer; None when that cannot happen."""
    if not scopes.references:
        return None
    try:
        return plan_federation(context, scopes, router)
    except MeshError as refusal:
        return Refusal.of(refusal)


def _refuse_everywhere(tree: exp.Expr) -> None:
    """What not even one shard may run for a client behind a pool."""
    if any(tree.find_all(exp.Into)):
        raise not_supported(*INTO_FILE)


def _views_call_stored(context: PlanContext, scopes: Scopes) -> bool:
    """Whether views the statement names may call stored functions: any view of the database, since they build on each other. In
    the words of a server only the names of those are quoted before a parenthesis. O(tables) where a view is named."""
    return any(
        reference.schema is not None and reference.schema.definition for reference in scopes.references
    ) and any("`(" in (schema.definition or "") for schema in context.catalog.tables.values())


def _pin(tree: exp.Expr) -> PinReason | None:
    if any(function.name.upper() in _LOCK_FUNCTIONS for function in tree.find_all(exp.Anonymous)):
        return PinReason.USER_LOCK
    return None


def _offset(context: PlanContext, tree: exp.Expr) -> Slot | None:
    clause = tree.args.get("offset")
    return None if clause is None else context.statement.slot(clause.expression)


def _reads_derived(tree: exp.Expr) -> bool:
    """Whether anything but DUAL is read from."""
    sources = (clause.this for clause in tree.find_all(exp.From))
    return any(not isinstance(source, exp.Table) or source.name.lower() != "dual" for source in sources)


def _calculates_found_rows(tree: exp.Expr) -> bool:
    """Whether FOUND_ROWS() may be more than the rows returned and skipped: of a UNION it is all there are."""
    if isinstance(tree, exp.SetOperation) and tree.args.get("limit") is not None:
        return True
    return any(
        str(modifier).upper() == "SQL_CALC_FOUND_ROWS"
        for select in tree.find_all(exp.Select)
        for modifier in select.args.get("operation_modifiers") or ()
    )
