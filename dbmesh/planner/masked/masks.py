"""What some readers may not see of one logic database: the masked columns of each table.

Decides whose masks are the same, and which names in a statement are worth a closer look. Knows no statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dbmesh.model import Catalog
from dbmesh.rules.masks.rule import MaskAlgorithm
from dbmesh.rules.ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class ReaderMasks:
    """The masks of one kind of readers. `tables`: key of a table → its masked columns, in lower case; `real_predicates`: the
    keys of tables whose real values WHERE and ON compare. `watched`: names, in lower case, without which no statement reaches
    a masked value of this database: the masked tables' own, and those of all views."""

    tables: Mapping[str, Mapping[str, MaskAlgorithm]]
    real_predicates: frozenset[str]
    watched: frozenset[str]


def masks_for(
    rule_set: RuleSet, catalog: Catalog, principals: frozenset[str], databases: Iterable[RuleSet] = ()
) -> ReaderMasks | None:
    """The masks of a user with these names (its own and its roles'), None where it reads everything as it is, in all `databases` of
    the mesh: what servers run here (views, stored functions, triggers) reads the tables of every database they hold."""
    tables = {key: found for key, table in rule_set.masks.items() if (found := table.read_by(principals))}
    if not tables and not any(
        table.read_by(principals) for database in databases for table in database.masks.values()
    ):
        return None
    views = {schema.name.lower() for schema in catalog.tables.values() if schema.definition is not None}
    names = {rule_set.masks[key].name.lower() for key in tables}
    real = frozenset(key for key in tables if rule_set.masks[key].real_predicates)
    return ReaderMasks(tables, real, frozenset(views | names))
