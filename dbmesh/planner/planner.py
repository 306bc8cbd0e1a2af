"""The planner: from a fingerprint to a plan, by named phases.

Decides which statement planner reads which statement, and that whatever nobody reads is refused: nothing is sent to
a shard as a guess. Holds one logic database's rules and catalog; both are replaced together with the planner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dbmesh.errors import PARSE_ERROR, PRIVILEGE_NEEDED, MeshError
from dbmesh.model import Catalog
from dbmesh.planner.context import PlanContext, PlannerSettings
from dbmesh.planner.elsewhere import InAnotherDatabase
from dbmesh.planner.encrypted.logic_schema import logic_catalog
from dbmesh.planner.encrypted.statement import plan_encrypted
from dbmesh.planner.masked.masks import ReaderMasks
from dbmesh.planner.masked.statement import MaskedStatement, Outcome
from dbmesh.planner.needs.need import Denied, check
from dbmesh.planner.needs.statements import statement_needs
from dbmesh.planner.phases import PHASES, unread
from dbmesh.planner.plan import Plan
from dbmesh.planner.resolve import SYSTEM_SCHEMAS
from dbmesh.planner.shadow.plan import with_shadow
from dbmesh.planner.view_expansion import expand
from dbmesh.planner.views import NamesView
from dbmesh.rules.privileges import Privileges
from dbmesh.rules.ruleset import RuleSet
from dbmesh.sql.fingerprint import Fingerprint
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.parse import Unreadable
from dbmesh.sql.statement import Statement


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and the literals it depends on: None when it depends on the whole text."""

    plan: Plan
    pinned: frozenset[int] | None


class Planner:
    """Plans statements of one logic database. Pure and stateless but for its rules. `databases` are all logic
    databases by lower-case name, for SHOW; by default this one alone."""

    def __init__(
        self,
        rule_set: RuleSet,
        catalog: Catalog,
        databases: Mapping[str, RuleSet] | None = None,
        settings: PlannerSettings | None = None,
    ) -> None:
        self.rule_set = rule_set
        self.catalog = logic_catalog(catalog, rule_set.encrypted)
        self.databases = databases or {rule_set.database.lower(): rule_set}
        self.settings = settings or PlannerSettings()
        # Statements over encrypted columns become others over the columns that are there, which are planned like any.
        self._stored: Planner | None = None
        if rule_set.encrypted:
            self._stored = Planner(
                replace(rule_set, encrypted={}, shadow=None), catalog, self.databases, self.settings
            )

    def plan(
        self,
        fingerprint: Fingerprint,
        flags: LexerFlags,
        database: str | None,
        privileges: Privileges | None = None,
    ) -> Planned:
        """The plan of one statement for a session whose current database is `database`, a logic one or a system schema, and whose
        account holds these privileges, None for all there are.

        Raises Denied, and MeshError: PARSE_ERROR, INVALID_TEXT, NOT_SUPPORTED, UNKNOWN_TABLE, NO_DATABASE and those of rules; NamesView with
        what to plan instead.
        """
        context = self._context(fingerprint, flags, database)
        try:
            planned = self._encrypted(context) or _first_plan(context)
            if privileges is not None:
                check(statement_needs(context, planned.plan), privileges)
            return (
                planned if _is_plain(context) else replace(planned, plan=with_shadow(context, planned.plan))
            )
        except NamesView as found:
            if privileges is not None:
                check(statement_needs(context, None), privileges)
            found.expansion = expand(found)
            raise
        except InAnotherDatabase:
            raise
        except Unreadable as error:
            raise _as_written(context, error) from None
        except MeshError as error:
            if privileges is not None:
                _check_names(context, privileges, error)
            raise

    def _encrypted(self, context: PlanContext) -> Planned | None:
        """The plan of a statement over encrypted columns, None for every other one."""
        stored = self._stored
        if stored is None:
            return None

        def plan_other(fingerprint: Fingerprint) -> tuple[Plan, frozenset[int] | None]:
            planned = _first_plan(
                stored._context(fingerprint, context.flags, context.database or context.system_schema)
            )
            return planned.plan, planned.pinned

        found = plan_encrypted(context, plan_other, lambda: _first_plan(context).plan)
        return None if found is None else Planned(*found)

    def masked(
        self, fingerprint: Fingerprint, flags: LexerFlags, database: str | None, masks: ReaderMasks
    ) -> Outcome:
        """What becomes of a statement of a session that reads some columns masked, before it is planned. Raises MeshError:
        NOT_SUPPORTED, PARSE_ERROR, INVALID_TEXT and those of names."""
        context = self._context(fingerprint, flags, database)
        try:
            return MaskedStatement(context, masks).outcome()
        except Unreadable as error:
            raise _as_written(context, error) from None

    def _context(self, fingerprint: Fingerprint, flags: LexerFlags, database: str | None) -> PlanContext:
        statement = Statement(fingerprint.shape, flags)
        slots = {slot.index for slot in statement.shape.slots if not slot.parameter}
        if len(slots) != len(fingerprint.literals):
            # Literals that touch (`1..2`) read differently once replaced; no valid statement has them.
            raise MeshError(PARSE_ERROR, near=fingerprint.shape[:80], line=1)
        return PlanContext(
            statement,
            self.rule_set,
            self.catalog,
            literals=fingerprint.literals,
            database=None if database in SYSTEM_SCHEMAS else database,
            settings=self.settings,
            databases=self.databases,
            system_schema=database if database in SYSTEM_SCHEMAS else None,
            stored_catalog=self.catalog if self._stored is None else self._stored.catalog,
        )


def _is_plain(context: PlanContext) -> bool:
    return context.rule_set.shadow is None and not context.statement.hints.shadow


def _as_written(context: PlanContext, error: Unreadable) -> Unreadable:
    """A syntax error with the statement's literals in its text."""
    if error.length != len(context.statement.text):
        return error
    written = context.original_text
    rest = context.original_from(max(error.position, context.statement.shape.start))
    return Unreadable(written, len(written) - len(rest))


def _check_names(context: PlanContext, privileges: Privileges, error: MeshError) -> None:
    """Of what an account may not see it is not told that it does not exist. Raises Denied."""
    try:
        check(statement_needs(context, None), privileges)
    except MeshError:
        # It cannot be read far enough: the first error says it.
        return
    except Denied as denied:
        if denied.kind is not PRIVILEGE_NEEDED:
            raise denied from error


def _first_plan(context: PlanContext) -> Planned:
    for phase in PHASES:
        planned = phase.plan(context)
        if planned is not None:
            return Planned(planned, None if phase.depends_on_text else context.pinned)
    raise unread(context)
