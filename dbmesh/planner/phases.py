"""The statement planners in the order they are asked.

Decides nothing else. Each takes a context and gives a plan, or None when the statement is not its own; the last one
refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from dbmesh.errors import PARSE_ERROR, MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl import plan_ddl
from dbmesh.planner.information_schema import plan_information_schema
from dbmesh.planner.insert import plan_insert
from dbmesh.planner.metadata import plan_metadata
from dbmesh.planner.plan import Plan
from dbmesh.planner.resolve import system_tables
from dbmesh.planner.select import plan_select
from dbmesh.planner.select_into import read_select_into
from dbmesh.planner.session_plan import Nothing
from dbmesh.planner.session_statements import plan_session_statement
from dbmesh.planner.write import plan_write

_FIRST_WORD = re.compile(r"[\s(]*([A-Za-z]*)")
_DATA_WORDS = frozenset(("SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "TABLE", "VALUES"))
_STATEMENT = re.compile(
    r"ALTER|ANALYZE|BACKUP|BEGIN|BINLOG|CACHE|CALL|CHANGE|CHECK|CHECKSUM|CLONE|COMMIT|CREATE|DEALLOCATE|DELETE|DESC|"
    r"DESCRIBE|DO|DROP|EXECUTE|EXPLAIN|FLUSH|GET|GRANT|HANDLER|HELP|IMPORT|INSERT|INSTALL|KILL|LOAD|LOCK|OPTIMIZE|"
    r"PREPARE|PURGE|RELEASE|RENAME|REPAIR|REPLACE|RESET|RESIGNAL|RESTART|REVOKE|ROLLBACK|SAVEPOINT|SELECT|SET|SHOW|"
    r"SHUTDOWN|SIGNAL|START|STOP|TABLE|TRUNCATE|UNINSTALL|UNLOCK|UPDATE|USE|VALUES|WITH|XA"
)
"""The words statements of MySQL and MariaDB begin with."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A statement planner by name. `depends_on_text`: its plans hold literals, so only the same text may share them."""

    name: str
    plan: Callable[[PlanContext], Plan | None]
    depends_on_text: bool = False


def first_word(context: PlanContext) -> str:
    """The first word of a statement in upper case, '' when it begins with something else."""
    text, start = context.statement.text, context.statement.shape.start
    found = _FIRST_WORD.match(text, start)
    return found[1].upper() if found is not None else ""


def _plan_nothing(context: PlanContext) -> Plan | None:
    return None if context.statement.text[context.statement.shape.start :].strip() else Nothing()


def _plan_session(context: PlanContext) -> Plan | None:
    if first_word(context) in _DATA_WORDS:
        return None
    return plan_session_statement(context.original_text, context.flags)


def goes_into_variables(context: PlanContext) -> bool:
    """Whether a statement is a query whose row goes into user variables."""
    # Any statement that is none of these has its own way with INTO.
    text = context.statement.text
    if first_word(context) not in ("SELECT", "WITH", "TABLE", "VALUES") or "@" not in text:
        return False
    return read_select_into(text, context.flags) is not None


def _plan_select_into(context: PlanContext) -> Plan | None:
    # The original text is asked for last: whoever reads it cannot share plans.
    if not goes_into_variables(context):
        return None
    return read_select_into(context.original_text, context.flags)


def _plan_metadata(context: PlanContext) -> Plan | None:
    if first_word(context) not in ("SHOW", "DESCRIBE", "DESC", "EXPLAIN", "ANALYZE"):
        return None
    return _without_data_source(context, plan_metadata(context))


def _plan_ddl(context: PlanContext) -> Plan | None:
    if first_word(context) in _DATA_WORDS:
        return None
    return _without_data_source(context, plan_ddl(context))


def _without_data_source(context: PlanContext, plan: Plan | None) -> Plan | None:
    """A plan that would not heed the hint DATA_SOURCE_NAME: a hint that is passed over acts somewhere else."""
    if plan is not None and context.hints.data_source is not None:
        raise not_supported(
            f"the hint DATA_SOURCE_NAME on {first_word(context)}",
            "leave out the hint; every data node is asked",
        )
    return plan


def _plan_system_schema(context: PlanContext) -> Plan | None:
    tree = context.statement.tree
    if not isinstance(tree, exp.Query) or not any(system_tables(context, tree)):
        return None
    return plan_information_schema(context)


def _plan_insert(context: PlanContext) -> Plan | None:
    return plan_insert(context) if first_word(context) in ("INSERT", "REPLACE") else None


def _plan_write(context: PlanContext) -> Plan | None:
    word = first_word(context)
    if word == "WITH":
        # UPDATE IGNORE and the like are no tree before the planner of writes has blanked such words.
        return plan_write(context) if isinstance(context.statement.tree, exp.Update | exp.Delete) else None
    return plan_write(context) if word in ("UPDATE", "DELETE") else None


def _plan_select(context: PlanContext) -> Plan | None:
    tree = context.statement.tree
    return plan_select(context) if isinstance(tree, exp.Query | exp.Values) else None


def _refuse(context: PlanContext) -> Plan | None:
    raise unread(context)


def unread(context: PlanContext) -> MeshError:
    """The refusal of a statement no planner reads; no server reads one that begins with another word than these."""
    word = first_word(context)
    if not _STATEMENT.fullmatch(word):
        near = context.original_text[context.statement.shape.start :][:80]
        return MeshError(PARSE_ERROR, near=near, line=1)
    return not_supported(
        f"the statement {word!r}",
        "run it on the data source itself, or send it in another form",
    )


PHASES: tuple[Phase, ...] = (
    Phase("nothing", _plan_nothing),
    Phase("session", _plan_session, depends_on_text=True),
    Phase("select into", _plan_select_into, depends_on_text=True),
    Phase("metadata", _plan_metadata, depends_on_text=True),
    Phase("ddl", _plan_ddl, depends_on_text=True),
    Phase("insert", _plan_insert),
    Phase("write", _plan_write),
    Phase("system schema", _plan_system_schema),
    Phase("select", _plan_select),
    Phase("refuse", _refuse),
)
