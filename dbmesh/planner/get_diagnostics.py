"""GET DIAGNOSTICS: which items of the last statement's conditions go to which user variables.

Decides the form and which items there are (manual, "GET DIAGNOSTICS Statement"). Knows no conditions.
"""

from __future__ import annotations

from dbmesh.errors import UNDECLARED_VARIABLE, MeshError, not_supported
from dbmesh.planner.lexemes import Kind, LexemeReader
from dbmesh.planner.session_plan import GetDiagnostics

_OF_STATEMENT = ("NUMBER", "ROW_COUNT")
_OF_CONDITION = (
    *("RETURNED_SQLSTATE", "MESSAGE_TEXT", "MYSQL_ERRNO", "CLASS_ORIGIN", "SUBCLASS_ORIGIN"),
    *("CONSTRAINT_CATALOG", "CONSTRAINT_SCHEMA", "CONSTRAINT_NAME", "CATALOG_NAME", "SCHEMA_NAME"),
    *("TABLE_NAME", "COLUMN_NAME", "CURSOR_NAME"),
)


def read_get_diagnostics(reader: LexemeReader) -> GetDiagnostics:
    """Reads the statement. Raises MeshError: PARSE_ERROR, UNDECLARED_VARIABLE, and NOT_SUPPORTED for ROW_NUMBER."""
    reader.expect("GET")
    reader.accept("CURRENT")
    reader.expect("DIAGNOSTICS")
    condition = _read_number(reader) if reader.accept("CONDITION") else ""
    known = _OF_CONDITION if condition else _OF_STATEMENT
    items: list[tuple[str, str]] = []
    while True:
        target = reader.take()
        if target.kind in (Kind.WORD, Kind.QUOTED):
            raise MeshError(UNDECLARED_VARIABLE, name=target.value)
        if target.kind is not Kind.USER_VARIABLE:
            raise reader.error()
        reader.expect("=")
        if condition and reader.looks_at("ROW_NUMBER"):
            raise not_supported("ROW_NUMBER in GET DIAGNOSTICS", "read the row from MESSAGE_TEXT")
        item = reader.accept_any(*known)
        if item is None:
            raise reader.error()
        items.append((target.value, item))
        if not reader.accept(","):
            break
    reader.expect_end()
    return GetDiagnostics(condition, tuple(items))


def _read_number(reader: LexemeReader) -> str:
    number = reader.take()
    if number.kind not in (Kind.NUMBER, Kind.STRING, Kind.USER_VARIABLE) and number.word != "NULL":
        raise reader.error()
    return f"@{number.value}" if number.kind is Kind.USER_VARIABLE else number.text
