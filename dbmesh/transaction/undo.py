"""The undo table, `dbmesh_undo`: one row for each write of a BASE transaction on a data source, committed together with it.

Decides its shape, the statements about it, and how images become text and back. Nothing in a row depends on a session's character
set. Knows nothing of who sends the statements.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.model import UNDO_TABLE as TABLE
from dbmesh.planner.images import ImageColumn, ImageTable, Row
from dbmesh.planner.scans import LiteralForm
from dbmesh.transaction.decisions import NOW, quoted

MAKE_TABLE = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
 gtrid VARBINARY(64) NOT NULL COMMENT 'the transaction',
 sequence INT UNSIGNED NOT NULL COMMENT 'which of its writes',
 own CHAR(16) CHARACTER SET ascii NOT NULL COMMENT 'sign of this data source',
 decider CHAR(16) CHARACTER SET ascii NOT NULL COMMENT 'sign of the data source that decides',
 images LONGTEXT CHARACTER SET ascii NOT NULL COMMENT 'rows before and after',
 dirty TEXT CHARACTER SET utf8mb4 COMMENT 'why it cannot be undone',
 written_at BIGINT NOT NULL COMMENT 'seconds since 1970',
 PRIMARY KEY (gtrid, sequence, own)
) ENGINE=InnoDB COMMENT='writes of BASE transactions that may have to be undone; made by dbmesh'"""


INSTANCE_LENGTH = 16
"""Characters of a transaction's name that name its process (`xid.TransactionNames`)."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row of a table before and after; None where it was not there."""

    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True)
class TableChanges:
    """What one write changed in one table, in the order it did."""

    table: ImageTable
    changes: tuple[Change, ...]


def record(
    schema: str, gtrid: str, sequence: int, own: str, decider: str, changes: Sequence[TableChanges]
) -> str:
    """Part of a write's local transaction, whose connection may be in another schema. Nothing is inserted where a table has other
    columns than its images."""
    # Hexadecimal digits read the same under every sql_mode and character set.
    return (
        f"INSERT INTO {quoted(schema)}.{TABLE} SELECT "
        f"'{gtrid}', {sequence}, '{own}', '{decider}', x'{encode(changes).encode().hex()}', NULL, {NOW} FROM DUAL "
        f"WHERE {' AND '.join(_has_columns(schema, table) for table in dict.fromkeys(one.table for one in changes))}"
    )


def _has_columns(schema: str, table: ImageTable) -> str:
    """Whether a table stores as many columns as its images: others may have added one since its columns were read. One that
    is missing is an error of the query of images."""
    return (
        f"{len(table.columns)} IN (SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {_text(schema)} "
        f"AND TABLE_NAME = {_text(table.name)} AND COALESCE(GENERATION_EXPRESSION, '') = '' "
        "GROUP BY CAST(TABLE_NAME AS BINARY))"
    )


def _text(name: str) -> str:
    return ImageColumn("", "", LiteralForm.QUOTED).literal(name.encode("utf-8", "surrogateescape"))


def last(gtrid: str, own: str, above: int) -> str:
    """The last write of a transaction on a data source after the one numbered `above`: sequence, images, dirty. Whoever has its
    lock undoes it."""
    return (
        f"SELECT sequence, images, dirty FROM {TABLE} WHERE gtrid = '{gtrid}' AND own = '{own}' "
        f"AND sequence > {above} ORDER BY sequence DESC LIMIT 1 FOR UPDATE"
    )


def undone(gtrid: str, own: str, sequence: int) -> str:
    """Delete a row, in the transaction that undoes what it is about."""
    return f"DELETE FROM {TABLE} WHERE gtrid = '{gtrid}' AND sequence = {sequence} AND own = '{own}'"


def mark(gtrid: str, own: str, sequence: int, reason: str) -> str:
    """Say why a row stays."""
    text = reason.encode("utf-8", "replace")[:2000].decode("utf-8", "ignore").encode().hex()
    return (
        f"UPDATE {TABLE} SET dirty = _utf8mb4 x'{text}' "
        f"WHERE gtrid = '{gtrid}' AND sequence = {sequence} AND own = '{own}'"
    )


def give_up(gtrid: str, own: str) -> str:
    """Delete the rows of a transaction that say why they stay."""
    return f"DELETE FROM {TABLE} WHERE gtrid = '{gtrid}' AND own = '{own}' AND dirty IS NOT NULL"


def forget(gtrids: Sequence[str], own: str) -> str:
    """Delete the rows of transactions that are committed."""
    return f"DELETE FROM {TABLE} WHERE gtrid IN ({', '.join(map(repr, gtrids))}) AND own = '{own}'"


def owners(own: str) -> str:
    """Whose writes there are on a data source: the process part of their names, and the sign of their decider."""
    return f"SELECT DISTINCT LEFT(gtrid, {INSTANCE_LENGTH}), decider FROM {TABLE} WHERE own = '{own}'"


def of_owner(instance: str, decider: str, own: str) -> str:
    """The last write of each transaction of a process on a data source: gtrid, why it is dirty ('' for none). Those that can be
    ended come first."""
    return (
        f"SELECT gtrid, COALESCE(dirty, '') FROM {TABLE} AS t WHERE gtrid LIKE '{instance}-%' "
        f"AND decider = '{decider}' AND own = '{own}' AND sequence = (SELECT MAX(sequence) FROM {TABLE} AS u "
        f"WHERE u.gtrid = t.gtrid AND u.own = t.own) ORDER BY dirty IS NOT NULL, gtrid LIMIT 1000"
    )


def still(gtrids: Sequence[str]) -> str:
    """Which of these transactions have writes left."""
    return f"SELECT DISTINCT gtrid FROM {TABLE} WHERE gtrid IN ({', '.join(map(repr, gtrids))})"


def encode(tables: Sequence[TableChanges]) -> str:
    """ASCII text of what one write changed. O(values)."""
    value = [
        {
            "table": one.table.name,
            "key": one.table.key,
            "columns": [
                [column.name, column.item, column.form.value, column.introducer, column.renewed]
                for column in one.table.columns
            ],
            "rows": [[_row_text(change.before), _row_text(change.after)] for change in one.changes],
        }
        for one in tables
    ]
    return json.dumps(value, separators=(",", ":"))


def decode(text: str) -> list[TableChanges]:
    """What `encode` made a text of. Raises ValueError for anything else."""
    try:
        return [
            TableChanges(
                ImageTable(
                    one["table"],
                    tuple(
                        ImageColumn(name, item, LiteralForm(form), introducer, renewed)
                        for name, item, form, introducer, renewed in one["columns"]
                    ),
                    tuple(one["key"]),
                ),
                tuple(Change(_row_of(before), _row_of(after)) for before, after in one["rows"]),
            )
            for one in json.loads(text)
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"images of another form: {error}") from error


def _row_text(row: Row | None) -> object:
    return None if row is None else [_value_text(value) for value in row]


def _value_text(value: bytes | None) -> object:
    """Text where the bytes are, else their digits in a list."""
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return [value.hex()]


def _row_of(row: list[object] | None) -> Row | None:
    return None if row is None else tuple(map(_value_of, row))


def _value_of(value: object) -> bytes | None:
    if isinstance(value, list):
        return bytes.fromhex(value[0])
    return None if value is None else str(value).encode()
