"""Cursors the mesh holds: what opens them, and what is left when too many rows come."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.errors import MeshError
from dbmesh.merge.limits import MergeLimits
from dbmesh.session.answering.cursor_sink import CursorSink
from dbmesh.session.prepared import HeldRows, PreparedStatement
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ErrPacket, OkPacket, parse_column_definition
from dbmesh.wire.values import encode_text_row
from tests.plugins.canned import MODERN, OLD
from tests.plugins.scripted import RecordingClient, column


def _opened(
    client: RecordingClient, capabilities: int, limits: MergeLimits
) -> tuple[CursorSink, PreparedStatement]:
    prepared = PreparedStatement(1, b"SELECT a", "SELECT a", 0)
    sink = CursorSink(client, capabilities, prepared, limits, binary=True)
    sink.columns([column("a")])
    return sink, prepared


@pytest.mark.parametrize("capabilities", [MODERN, OLD])
def test_definitions_are_followed_by_one_packet_and_the_rows_are_kept(capabilities: int) -> None:
    client = RecordingClient()
    sink, prepared = _opened(client, capabilities, MergeLimits())
    sink.rows([encode_text_row([b"x"])])
    assert client.packets() == []
    sink.end_rows(2, 0)
    assert [payload[0] for _, payload in client.packets()] == [1, 3, 0xFE]
    assert isinstance(prepared.cursor, HeldRows)
    assert list(prepared.cursor.rows) == [b"\0\0\1x"]


def test_columns_are_those_of_mariadbs_temporary_table() -> None:
    client = RecordingClient()
    prepared = PreparedStatement(1, b"SELECT a", "SELECT a", 0)
    sink = CursorSink(client, MODERN, prepared, MergeLimits(), as_mariadb=True)
    computed = ColumnFlag.BINARY | ColumnFlag.UNSIGNED
    columns = [
        replace(column("a", ColumnType.LONG), flags=ColumnFlag.NOT_NULL | ColumnFlag.PRIMARY_KEY),
        replace(column("b", ColumnType.BIT), flags=computed, length=12),
        replace(column("c", ColumnType.BIT), flags=ColumnFlag.UNSIGNED, length=8),
        replace(column("d", ColumnType.DATE), flags=ColumnFlag.BINARY),
    ]
    sink.columns(columns)
    sink.end_rows(2, 0)
    told = [parse_column_definition(payload) for _, payload in client.packets()[1:5]]
    flags = (ColumnFlag.NOT_NULL, ColumnFlag.UNSIGNED, ColumnFlag.UNSIGNED, ColumnFlag.BINARY)
    assert [one.flags for one in told] == list(flags)


def test_too_many_rows_leave_an_error_alone_and_no_cursor() -> None:
    client = RecordingClient()
    sink, prepared = _opened(client, MODERN, MergeLimits(max_rows=1))
    row = encode_text_row([b"x"])
    with pytest.raises(MeshError, match="merge-max-rows"):
        sink.rows([row, row])
    sink.error(ErrPacket(1, "HY000", b"too many"))
    assert [(sequence, payload[0]) for sequence, payload in client.packets()] == [(1, 0xFF)]
    assert prepared.cursor is None


def test_a_statement_without_rows_opens_no_cursor() -> None:
    client = RecordingClient()
    prepared = PreparedStatement(1, b"SET @a = 1", "SET @a = 1", 0)
    CursorSink(client, MODERN, prepared, MergeLimits()).ok(OkPacket())
    assert prepared.cursor is None
    assert client.packets()[0][1][0] == 0
