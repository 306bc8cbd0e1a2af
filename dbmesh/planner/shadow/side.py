"""A bound statement taken to the shadow: the same shots, on the data sources that stand in.

Decides nothing about which statement goes there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import DataNode
from dbmesh.planner.plan import Answer, BoundStatement, Shot
from dbmesh.planner.scans import Federation, Scan
from dbmesh.planner.steps import DerivedWrite


@dataclass(frozen=True, slots=True)
class ShadowSide:
    """The data sources that stand in for others."""

    shadow_of: Mapping[str, str]

    def place(self, bound: BoundStatement) -> BoundStatement:
        """A statement of production in the shadow. Raises MeshError(NOT_SUPPORTED) for a data source without one."""
        alternative, in_steps = bound.alternative, bound.in_steps
        return bound._replace(
            shots=self._shots(bound.shots),
            answer=self._answer(bound.answer),
            alternative=None if alternative is None else self._instead(alternative),
            in_steps=None if in_steps is None else lambda: self.place(in_steps()),
            shadow=self,
        )

    def _instead(
        self, alternative: Callable[[MeshError], BoundStatement]
    ) -> Callable[[MeshError], BoundStatement]:
        return lambda refusal: self.place(alternative(refusal))

    def _answer(self, answer: Answer) -> Answer:
        if isinstance(answer, Federation):
            merge_node = self.shadow_of.get(answer.merge_node, answer.merge_node)
            return replace(answer, merge_node=merge_node, scans=tuple(map(self._scan, answer.scans)))
        if isinstance(answer, DerivedWrite):
            explained = answer.explained
            return replace(answer, explained=lambda: map(self.place, explained()))
        return answer

    def _scan(self, scan: Scan) -> Scan:
        node = DataNode(self._of(scan.node.data_source), scan.node.table)
        return replace(scan, node=node, shots=self._shots(scan.shots))

    def _shots(self, shots: tuple[Shot, ...]) -> tuple[Shot, ...]:
        return tuple([Shot(self._of(shot.data_source), shot.sql) for shot in shots])

    def _of(self, data_source: str) -> str:
        shadow = self.shadow_of.get(data_source)
        if shadow is None:
            raise without_shadow(data_source)
        return shadow


def without_shadow(data_source: str) -> MeshError:
    """The refusal of what would have to go to a data source that nothing stands in for."""
    return not_supported(
        f"a statement for the shadow on data source '{data_source}', which has none",
        "name the data source in dataSources of !SHADOW",
    )
