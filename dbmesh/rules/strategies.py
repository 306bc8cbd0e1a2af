"""Strategy sections to `Strategy`: which columns, which algorithm, and whether they fit together.

Decides what a strategy may use. How an algorithm places values is its own file's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dbmesh.rules.algorithms.complex_inline import ComplexInline
from dbmesh.rules.algorithms.inline import Inline
from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.algorithms.registry import ALGORITHMS
from dbmesh.rules.models import StrategySection, TypeAndProperties
from dbmesh.rules.ruleset import ShardingAlgorithm, Strategy
from dbmesh.rules.sections import report_unknown, suggestion
from dbmesh.rules.source import Path, SourceFile

NONE = Strategy("none")

_KINDS = ("standard", "complex", "hint", "none")


@dataclass(frozen=True, slots=True)
class NamedAlgorithm:
    """An algorithm of `shardingAlgorithms`; `made` is None when it has mistakes, which are reported already."""

    type: str
    made: ShardingAlgorithm | None


def build_algorithms(
    source: SourceFile, path: Path, sections: Mapping[str, TypeAndProperties]
) -> dict[str, NamedAlgorithm]:
    """Every algorithm by name; mistakes are reported."""
    return {name: _build_algorithm(source, (*path, name), section) for name, section in sections.items()}


def _build_algorithm(source: SourceFile, path: Path, section: TypeAndProperties) -> NamedAlgorithm:
    kind = section.type.upper()
    known = ALGORITHMS.get(kind)
    if known is None:
        source.report(
            (*path, "type"), f"unknown sharding algorithm '{section.type}'", suggestion(kind, ALGORITHMS)
        )
        return NamedAlgorithm(kind, None)
    if known.properties is not None:
        for name in section.props:
            if name not in known.properties:
                source.report(
                    (*path, "props", name),
                    f"unknown property '{name}' of {kind}",
                    suggestion(name, known.properties),
                )
    try:
        return NamedAlgorithm(kind, known.create(PropertyReader(section.props)))
    except PropertyMistake as mistake:
        source.report((*path, "props", mistake.key), mistake.message, mistake.fix)
        return NamedAlgorithm(kind, None)


@dataclass(frozen=True, slots=True)
class StrategyBuilder:
    """Builds the strategies of one `!SHARDING` item."""

    source: SourceFile
    algorithms: Mapping[str, NamedAlgorithm]
    default_column: str | None

    def build(self, path: Path, section: StrategySection | None, automatic: bool = False) -> Strategy | None:
        """The strategy, NONE for a missing one, None after reporting a mistake."""
        if section is None:
            return NONE
        given = section.model_fields_set  # `none:` has no value, so its presence counts
        kinds = [
            kind
            for kind in _KINDS
            if kind in given and (kind == "none" or getattr(section, kind) is not None)
        ]
        if len(kinds) != 1:
            what = (
                "no kind of strategy is given"
                if not kinds
                else f"several kinds are given: {', '.join(kinds)}"
            )
            self.source.report(path, what, "write exactly one of standard, complex, hint, none")
            return None
        kind = kinds[0]
        if kind == "none":
            return NONE
        columns = self._columns((*path, kind), section)
        name: str = getattr(section, kind).sharding_algorithm_name
        algorithm = self._algorithm((*path, kind, "shardingAlgorithmName"), kind, name, automatic)
        if columns is None or algorithm is None:
            return None
        if not self._reads_its_columns((*path, kind), name, columns, algorithm):
            return None
        return Strategy(kind, columns, algorithm, name)

    def _columns(self, path: Path, section: StrategySection) -> tuple[str, ...] | None:
        if section.hint is not None:
            return ()
        if section.complex is not None:
            columns = tuple(dict.fromkeys(column.lower() for column in section.complex.sharding_columns))
            if not columns:
                self.source.report((*path, "shardingColumns"), "no column is named", "name the columns: a,b")
            return columns or None
        column = (section.standard.sharding_column if section.standard else None) or self.default_column
        if not column:
            self.source.report(
                path, "'shardingColumn' is missing", "add it, or defaultShardingColumn to the rule"
            )
            return None
        return (column.lower(),)

    def _algorithm(self, path: Path, kind: str, name: str, automatic: bool) -> ShardingAlgorithm | None:
        named = self.algorithms.get(name)
        if named is None:
            report_unknown(self.source, path, "algorithm", name, self.algorithms)
            return None
        known = ALGORITHMS.get(named.type)
        if known is None or named.made is None:
            return None
        if kind not in known.strategies or (kind == "standard") != _is_standard(named.made):
            self.source.report(
                path,
                f"'{name}' ({named.type}) cannot serve a {kind} strategy",
                "choose another algorithm or strategy",
            )
            return None
        if automatic and not known.automatic:
            usable = ", ".join(sorted(key for key, row in ALGORITHMS.items() if row.automatic))
            self.source.report(
                path, f"'{name}' ({named.type}) cannot lay out an auto table", f"use one of {usable}"
            )
            return None
        return named.made

    def _reads_its_columns(
        self, path: Path, name: str, columns: tuple[str, ...], algorithm: ShardingAlgorithm
    ) -> bool:
        """Whether an expression reads columns of its own strategy only."""
        if not isinstance(algorithm, Inline | ComplexInline):
            return True
        strange = algorithm.variables - set(columns)
        if isinstance(algorithm, ComplexInline) and algorithm.columns:
            strange |= set(algorithm.columns) ^ set(columns)
        if strange:
            self.source.report(
                path,
                f"algorithm '{name}' reads '{min(strange)}' but the strategy's columns are {', '.join(columns)}",
                "name the same columns in both",
            )
        return not strange


def _is_standard(algorithm: ShardingAlgorithm) -> bool:
    return hasattr(algorithm, "placer")
