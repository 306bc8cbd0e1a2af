"""The item `!MASK` to masked tables.

Decides that every mistake is reported where it stands. What a mask does is its algorithm's file's business.
"""

from __future__ import annotations

from collections.abc import Mapping

from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.masks.registry import MASKS
from dbmesh.rules.masks.rule import MaskAlgorithm, MaskedColumn, MaskedTable, Readers
from dbmesh.rules.models import MaskedTableSection, MaskSection, TypeAndProperties
from dbmesh.rules.sections import report_unknown, suggestion
from dbmesh.rules.source import Path, SourceFile

_PREDICATES = ("masked", "real")


def build_masks(source: SourceFile, path: Path, section: MaskSection) -> dict[str, MaskedTable]:
    """Table in lower case → its masks; mistakes are reported."""
    algorithms = {
        name: _algorithm(source, (*path, "maskAlgorithms", name), one)
        for name, one in section.mask_algorithms.items()
    }
    if section.predicates not in _PREDICATES:
        source.report(
            (*path, "predicates"),
            f"'{section.predicates}' is neither masked nor real",
            suggestion(section.predicates, _PREDICATES),
        )
    real = section.predicates == "real"
    written = {name: _as_written(one) for name, one in section.mask_algorithms.items()}
    return {
        name.lower(): MaskedTable(
            name, _columns(source, (*path, "tables", name), table, algorithms, written), real_predicates=real
        )
        for name, table in section.tables.items()
    }


def _columns(
    source: SourceFile,
    path: Path,
    table: MaskedTableSection,
    algorithms: Mapping[str, MaskAlgorithm | None],
    written: Mapping[str, str],
) -> tuple[MaskedColumn, ...]:
    found: list[MaskedColumn] = []
    if not table.columns:
        source.report(path, "no column is masked", "name one under columns")
    for name, column in table.columns.items():
        place: Path = (*path, "columns", name)
        algorithm = algorithms.get(column.mask_algorithm)
        if column.mask_algorithm not in algorithms:
            report_unknown(
                source, (*place, "maskAlgorithm"), "mask algorithm", column.mask_algorithm, algorithms
            )
        only = table.masked_for if column.masked_for is None else column.masked_for
        exempt = table.exempt if column.exempt is None else column.exempt
        readers = Readers(None if only is None else frozenset(only), frozenset(exempt or ()))
        if algorithm is not None:
            found.append(MaskedColumn(name, algorithm, readers, written[column.mask_algorithm]))
    return tuple(found)


def _as_written(section: TypeAndProperties) -> str:
    """`KEEP_FIRST_N_LAST_M(first-n=1, last-m=2)`."""
    return f"{section.type}({', '.join(f'{name}={value}' for name, value in sorted(section.props.items()))})"


def _algorithm(source: SourceFile, path: Path, section: TypeAndProperties) -> MaskAlgorithm | None:
    kind = MASKS.get(section.type.upper())
    if kind is None:
        source.report((*path, "type"), f"unknown mask type '{section.type}'", suggestion(section.type, MASKS))
        return None
    for name in section.props:
        if name not in kind.properties:
            source.report(
                (*path, "props", name), f"unknown property '{name}'", suggestion(name, kind.properties)
            )
    try:
        return kind.create(PropertyReader(section.props))
    except PropertyMistake as mistake:
        source.report((*path, "props", mistake.key), mistake.message, mistake.fix)
        return None
