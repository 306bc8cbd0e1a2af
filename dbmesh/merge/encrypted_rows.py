"""Rows of information_schema about tables with encrypted columns: what clients see of these.

Decides the rows of COLUMNS, STATISTICS and KEY_COLUMN_USAGE: columns that keep a value are one, of the logic name and type. Knows no SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dbmesh.merge.system_rows import Row
from dbmesh.model import ColumnFamily
from dbmesh.rules.encryption.logic_type import COLLATIONS, LogicType
from dbmesh.rules.encryption.rule import EncryptedColumn, EncryptedTable

_BYTES_OF_CHARACTER = 4
_DIGITS = {"tinyint": 3, "smallint": 5, "mediumint": 7, "int": 10, "bigint": 19}
_UNSIGNED_BIGINT_DIGITS = 20
_WIDTHS = {"tinyint": (4, 3), "smallint": (6, 5), "mediumint": (9, 8), "int": (11, 10), "bigint": (20, 20)}


def logic_rows(
    columns: Sequence[str],
    rows: Sequence[Row],
    schema: str,
    encrypted: Mapping[tuple[str, str], EncryptedTable],
    collation: str,
) -> list[Row]:
    """The rows as clients see them. `schema` names the column with the database, `encrypted` are tables by database and name in lower
    case, `collation` is that of encrypted texts. O(rows)."""
    at = {name: place for place, name in enumerate(columns)}
    if "COLUMN_NAME" not in at or "TABLE_NAME" not in at:
        return list(rows)
    if "COLUMN_TYPE" in at:
        # MySQL tells columns by their names.
        rows = sorted(
            rows,
            key=lambda row: (
                _text(row[at[schema]]).lower(),
                _text(row[at["TABLE_NAME"]]).lower(),
                int(row[at["ORDINAL_POSITION"]] or 0),
            ),
        )
    made: list[Row] = []
    shown: dict[tuple[str, str], int] = {}
    ties = _keys_of_columns(at, rows, schema, encrypted)
    for row in rows:
        key = _text(row[at[schema]]).lower(), _text(row[at["TABLE_NAME"]]).lower()
        table = encrypted.get(key)
        name = _text(row[at["COLUMN_NAME"]]).lower()
        found = row if table is None else _of_column(at, row, table, name, ties.get(key, {}), collation)
        if found is None:
            continue
        if table is not None and "COLUMN_TYPE" in at:
            shown[key] = shown.get(key, 0) + 1
            found[at["ORDINAL_POSITION"]] = str(shown[key]).encode()
        made.append(found)
    return made


def _keys_of_columns(
    at: Mapping[str, int],
    rows: Sequence[Row],
    schema: str,
    encrypted: Mapping[tuple[str, str], EncryptedTable],
) -> dict[tuple[str, str], dict[str, bytes | None]]:
    """Table → column → COLUMN_KEY: a logic column has that of the column that is compared."""
    if "COLUMN_KEY" not in at:
        return {}
    found: dict[tuple[str, str], dict[str, bytes | None]] = {}
    for row in rows:
        key = _text(row[at[schema]]).lower(), _text(row[at["TABLE_NAME"]]).lower()
        if key in encrypted:
            found.setdefault(key, {})[_text(row[at["COLUMN_NAME"]]).lower()] = row[at["COLUMN_KEY"]]
    return found


def _of_column(
    at: Mapping[str, int],
    row: Row,
    table: EncryptedTable,
    name: str,
    keys: Mapping[str, bytes | None],
    collation: str,
) -> Row | None:
    """A row about one column, None for what clients do not see."""
    lists_columns = "COLUMN_TYPE" in at
    for column in table.columns:
        if column.plain:
            continue
        shows = column.cipher if lists_columns else column.equality or column.cipher
        if name == shows.name.lower():
            changed = list(row)
            changed[at["COLUMN_NAME"]] = column.name.encode()
            if lists_columns:
                _describe(at, changed, column.type, collation)
                changed[at["COLUMN_KEY"]] = keys.get((column.equality or column.cipher).name.lower())
            return changed
        if name in (column.name.lower(), *(each.lower() for each in column.stored)):
            return None
    return None if name in table.hidden else row


def _describe(at: Mapping[str, int], row: Row, kind: LogicType, collation: str) -> None:
    text = kind.is_text
    octets = kind.length * _BYTES_OF_CHARACTER if kind.counts_characters else kind.length
    number = kind.family in (ColumnFamily.INTEGER, ColumnFamily.DECIMAL)
    values: dict[str, str | int | None] = {
        "DATA_TYPE": kind.name,
        "COLUMN_TYPE": shown_type(kind, collation),
        "CHARACTER_MAXIMUM_LENGTH": kind.length if text else None,
        "CHARACTER_OCTET_LENGTH": octets if text else None,
        "NUMERIC_PRECISION": _digits(kind) if number else None,
        "NUMERIC_SCALE": kind.scale if number else None,
        "DATETIME_PRECISION": kind.scale if kind.name == "datetime" else None,
        "CHARACTER_SET_NAME": "utf8mb4" if text else None,
        "COLLATION_NAME": collation if text else None,
    }
    for name, value in values.items():
        row[at[name]] = None if value is None else str(value).encode()


def shown_type(kind: LogicType, collation: str) -> str:
    """The declaration as a server tells it; MariaDB adds the width that integers are shown in."""
    if kind.family is not ColumnFamily.INTEGER or collation != COLLATIONS[0]:
        return kind.declared
    signed, unsigned = _WIDTHS[kind.name]
    return f"{kind.name}({unsigned}) unsigned" if kind.unsigned else f"{kind.name}({signed})"


def _digits(kind: LogicType) -> int:
    if kind.name == "bigint" and kind.unsigned:
        return _UNSIGNED_BIGINT_DIGITS
    return _DIGITS.get(kind.name, kind.length)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "surrogateescape")


def logic_definition(definition: str, table: EncryptedTable, collation: str) -> str:
    """SHOW CREATE TABLE's text with the logic columns. A text that is none stays. O(length)."""
    head, end, tail = definition.partition("\n) ")
    if not end:
        return definition
    first, *parts = head.split(",\n")
    opening, _, first = first.partition("\n")
    lines = [made for line in (first, *parts) if (made := _logic_line(line, table, collation)) is not None]
    return f"{opening}\n" + ",\n".join(lines) + end + tail


def _logic_line(line: str, table: EncryptedTable, collation: str) -> str | None:
    name = line.strip().partition("`")[2].partition("`")[0].lower() if line.startswith("  `") else ""
    if not name:
        return _logic_key(line, table)
    for column in table.columns:
        if column.plain:
            continue
        if name == column.cipher.name.lower():
            return _logic_column_line(line, column, collation)
        if name in (column.name.lower(), *(each.lower() for each in column.stored)):
            return None
    return None if name in table.hidden else line


def _logic_column_line(line: str, column: EncryptedColumn, collation: str) -> str:
    kind = column.type
    text = f" CHARACTER SET utf8mb4 COLLATE {collation}" if kind.is_text else ""
    # MySQL tells no default of a TEXT.
    told = not kind.name.endswith("text") or collation == COLLATIONS[0]
    null = " NOT NULL" if " NOT NULL" in line else " DEFAULT NULL" if told else ""
    comment = line.partition(" COMMENT ")
    return f"  `{column.name}` {shown_type(kind, collation)}{text}{null}" + (
        f" COMMENT {comment[2]}" if comment[1] else ""
    )


def _logic_key(line: str, table: EncryptedTable) -> str | None:
    head, bracket, columns = line.partition(" (")
    for column in table.columns:
        if column.plain or not bracket:
            continue
        equality = (column.equality or column.cipher).name
        columns = columns.replace(f"`{equality}`", f"`{column.name}`")
        if any(f"`{each}`" in columns for each in column.stored if each != equality and each != column.name):
            return None
    return head + bracket + columns
