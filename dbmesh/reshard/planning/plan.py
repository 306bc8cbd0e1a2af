"""The plan of a reshard job: what it moves, what stands in its way, and its steps, before anything has changed.

Decides the words and sums. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dbmesh.model import Catalog, DataNode
from dbmesh.planner.catalog import build_catalog
from dbmesh.reshard.jobs.job import Mode
from dbmesh.reshard.jobs.scope import Scope, TableMove, scope_of, seen_by
from dbmesh.reshard.planning.facts import Survey
from dbmesh.reshard.planning.obstacles import Finding, findings
from dbmesh.rules.ruleset import RuleSet, TransactionType


@dataclass(frozen=True, slots=True)
class Plan:
    """See the module's docstring."""

    scope: Scope
    survey: Survey
    findings: tuple[Finding, ...]
    mode: Mode = Mode.DOUBLE_WRITE

    @property
    def possible(self) -> bool:
        """Whether the job could begin."""
        return bool(self.scope.moves) and not any(one.blocks for one in self.findings)

    def rows(self, node: DataNode) -> int | None:
        """The server's estimate for a data node of the former rules."""
        facts = self.survey[seen_by(self.scope.before.data_sources[node.data_source])].table(node.table)
        return None if facts is None else facts.rows

    def size(self, node: DataNode) -> int | None:
        """Bytes, with indexes, likewise."""
        facts = self.survey[seen_by(self.scope.before.data_sources[node.data_source])].table(node.table)
        return None if facts is None else facts.size

    def all_rows(self, move: TableMove) -> int:
        """The estimate for a whole table."""
        return sum(self.rows(node) or 0 for node in move.sources)

    def all_bytes(self, move: TableMove) -> int:
        """Likewise."""
        return sum(self.size(node) or 0 for node in move.sources)

    def steps(self) -> tuple[str, ...]:
        """What the job does, in its order."""
        return tuple(_steps(self))


def make_plan(
    before: RuleSet,
    after: RuleSet,
    found: Survey,
    transactions: TransactionType,
    job: str,
    mode: Mode = Mode.DOUBLE_WRITE,
) -> Plan:
    """The plan of a job from one rule set to another, from what was found on the data sources of both. Raises AmbiguousTable."""
    catalog = catalog_of(before, found)
    scope = scope_of(before, after, catalog, job)
    return Plan(scope, found, findings(scope, found, catalog, transactions, mode), mode)


def catalog_of(rules: RuleSet, found: Survey) -> Catalog:
    """The catalog of a rule set. Raises AmbiguousTable."""
    schemas = {
        name: {one.schema.name: one.schema for one in found[seen_by(config)].tables.values()}
        for name, config in rules.data_sources.items()
    }
    return build_catalog(rules, schemas)


def _steps(plan: Plan) -> Iterator[str]:
    scope = plan.scope
    tables = ", ".join(move.name for move in scope.moves)
    rows = sum(map(plan.all_rows, scope.moves))
    built = _by_source((one.node.data_source, one.built_as) for move in scope.moves for one in move.targets)
    renamed = [one for move in scope.moves for one in move.targets if one.built_as != one.node.table]
    old = [node for move in scope.moves for node in move.before.nodes]
    count = sum(map(len, built.values()))
    yield f"PREPARE: make {_counted(count, 'table')} on {', '.join(built)}"
    double_write = f"DOUBLE WRITE: every write to {tables} goes to both sides, in one transaction"
    copy = f"COPY: about {rows:,} rows in chunks of the primary key"
    if plan.mode is Mode.CDC:
        yield f"{copy}, while the binlog of each source tells what is written, and that is brought over"
        yield "CATCH UP: until little is left in the binlogs"
        yield double_write
    else:
        yield double_write
        yield copy
    if all(scope.before.data_sources[node.data_source].kind == "postgresql" for node in old):
        yield "LISTEN: nothing can be followed: writes that bypass the mesh are found by VERIFY"
    else:
        yield "LISTEN: follow the binlog of each source for writes that bypass the mesh"
    yield "VERIFY: compare both sides chunk by chunk, and repair what differs"
    yield "CUTOVER: hold new writes until those under way have ended; the new rules become active everywhere at once"
    yield "REVERSE DOUBLE WRITE: the former tables get every write as well; rollback is possible"
    naming = f", give {_counted(len(renamed), 'table')} the final name" if renamed else ""
    yield f"CLEAN UP: drop {_counted(len(old), 'former table')}{naming}"


def _by_source(pairs: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source, table in pairs:
        found.setdefault(source, []).append(table)
    return found


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
