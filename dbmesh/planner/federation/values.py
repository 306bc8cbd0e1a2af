"""How a column's values travel as text without losing anything: what a scan selects and what an INSERT says.

Decides both forms by the column's declared type. Nothing depends on the session: texts travel as the bytes of their
own character set, moments as seconds since 1970, so that neither `character_set_results` nor `time_zone` matter.
"""

from __future__ import annotations

from dbmesh.errors import not_supported
from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.planner.scans import LiteralForm, LoadedColumn

_UTF8 = frozenset(("utf8mb4", "utf8mb3", "utf8", "ascii"))
_GEOMETRIES = (
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
    "geometrycollection", "geomcollection",
)  # fmt: skip
_TEXTUAL = ("uuid", "inet4", "inet6")


def scanned(column: ColumnSchema, quoted: str) -> str:
    """The select item that reads a column whose quoted name is `quoted`."""
    family, kind = column.family, column.declared_type
    if family is ColumnFamily.FLOAT and kind.startswith("float"):
        # A FLOAT's text has six digits; as a DOUBLE it has all.
        return f"{quoted}+0e0"
    if family in (ColumnFamily.ENUM, ColumnFamily.SET, ColumnFamily.BIT):
        return f"CAST({quoted} AS UNSIGNED)"
    if family is ColumnFamily.TEXT:
        return f"CAST({quoted} AS BINARY)"
    if family is ColumnFamily.JSON:
        return f"CAST(CAST({quoted} AS CHAR CHARACTER SET utf8mb4) AS BINARY)"
    if kind.startswith("timestamp"):
        return f"UNIX_TIMESTAMP({quoted})"
    return quoted


def loaded(column: ColumnSchema) -> LoadedColumn:
    """How the INSERT writes what `scanned` read. Raises MeshError(NOT_SUPPORTED) for a type nobody here knows."""
    family, kind = column.family, column.declared_type
    name = column.name
    if family in (
        ColumnFamily.INTEGER,
        ColumnFamily.DECIMAL,
        ColumnFamily.ENUM,
        ColumnFamily.SET,
        ColumnFamily.BIT,
    ):
        return LoadedColumn(name, LiteralForm.NUMBER)
    if family is ColumnFamily.TEXT:
        charset = (column.collation or "utf8mb4").split("_")[0]
        if charset in _UTF8:
            return LoadedColumn(name, LiteralForm.QUOTED)
        return LoadedColumn(name, LiteralForm.BYTES, f"_{charset} ")
    if kind.startswith("timestamp"):
        return LoadedColumn(name, LiteralForm.MOMENT)
    if family in (ColumnFamily.FLOAT, ColumnFamily.TEMPORAL, ColumnFamily.JSON):
        return LoadedColumn(name, LiteralForm.QUOTED)
    word = kind.partition("(")[0].split(" ")[0]
    if family is ColumnFamily.BINARY or word in _GEOMETRIES:
        return LoadedColumn(name, LiteralForm.BYTES)
    if word in _TEXTUAL:
        return LoadedColumn(name, LiteralForm.QUOTED)
    raise not_supported(
        f"a column of the type {word} ('{name}') in a statement over several data nodes",
        "leave that column out, or add conditions on the sharding columns so that one data node holds all rows",
    )
