"""What servers tell about themselves and their tables, for users who read masked columns.

Decides which system tables and which SHOW tell of definitions alone. Others hold values: histograms, locks, other users' statements, pages. Knows
no rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.lexemes import Lexeme
from dbmesh.planner.masked.references import INSTEAD
from dbmesh.planner.resolve import system_tables

EXPLAINED_NEVER = frozenset(("mysql", "performance_schema", "sys", "connection"))
"""Names in a statement to be explained that is about others' values: system schemas, another session's statement."""

_DEFINITIONS = frozenset(
    ("APPLICABLE_ROLES", "CHARACTER_SETS", "CHECK_CONSTRAINTS", "COLLATIONS", "COLLATION_CHARACTER_SET_APPLICABILITY",
     "COLUMNS", "COLUMN_PRIVILEGES", "ENABLED_ROLES", "ENGINES", "EVENTS", "FILES", "GLOBAL_VARIABLES", "KEYWORDS",
     "KEY_COLUMN_USAGE", "PARAMETERS", "PLUGINS", "REFERENTIAL_CONSTRAINTS", "ROUTINES", "SCHEMATA", "SCHEMA_PRIVILEGES",
     "SESSION_VARIABLES", "SQL_FUNCTIONS", "STATISTICS", "SYSTEM_VARIABLES", "TABLES", "TABLE_CONSTRAINTS",
     "TABLE_PRIVILEGES", "TRIGGERS", "USER_PRIVILEGES", "VIEWS")
)  # fmt: skip
_SHOWN = frozenset(
    ("CHARACTER", "CHARSET", "COLLATION", "COLUMNS", "COUNT", "CREATE", "DATABASES", "ENGINES", "ERRORS", "EVENTS", "EXTENDED",
     "FIELDS", "FULL", "FUNCTION", "GLOBAL", "GRANTS", "INDEX", "INDEXES", "KEYS", "LOCAL", "PLUGINS", "PRIVILEGES",
     "PROCEDURE", "PROCESSLIST", "PROXY", "SCHEMAS", "SESSION", "STATUS", "STORAGE", "TABLE", "TABLES", "TRIGGERS",
     "VARIABLES", "WARNINGS")
)  # fmt: skip
_EXPLAINED = frozenset(
    ("SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "VALUES", "FORMAT", "EXTENDED", "PARTITIONS", "ANALYZE", "FOR")
)  # fmt: skip


def check_system_tables(context: PlanContext, tree: exp.Expr) -> None:
    """Raises MeshError(NOT_SUPPORTED) for a system table that may hold values of others."""
    for table, schema in system_tables(context, tree):
        if schema != "information_schema" or table.name.upper() not in _DEFINITIONS:
            raise _refused(f"{schema}.{table.name.lower()}")


def check_show(lexemes: Sequence[Lexeme]) -> None:
    """Raises MeshError(NOT_SUPPORTED) for a SHOW that may tell values of others."""
    words = [lexeme.word for lexeme in lexemes]
    condition = words[words.index("WHERE") :] if "WHERE" in words else []
    reads = not {"SELECT", "TABLE", "WITH"}.isdisjoint(condition)
    if words[0] == "SHOW" and len(words) > 1 and (words[1] not in _SHOWN or reads):
        raise _refused(f"SHOW {lexemes[1].text.upper()}")


def is_explained(lexemes: Sequence[Lexeme]) -> bool:
    """Whether EXPLAIN, DESCRIBE or ANALYZE is of a statement, not of a table."""
    if lexemes[0].word == "SHOW" or len(lexemes) < 2:
        return False
    second = lexemes[1]
    if second.text == "(" or second.word in _EXPLAINED:
        return True
    return second.word == "TABLE" and lexemes[0].word != "ANALYZE"


def _refused(what: str) -> MeshError:
    return not_supported(f"{what} for users who read masked columns", INSTEAD)
