"""Commands that carry values, with and without query attributes."""

from __future__ import annotations

import datetime
import struct
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.model import SqlValue
from dbmesh.wire.commands import (
    LongData,
    Query,
    forward_execute,
    make_execute,
    make_fetch,
    make_long_data,
    make_query,
    make_statement_command,
    parse_execute,
    parse_fetch,
    parse_long_data,
    parse_query,
    parse_statement_id,
)
from dbmesh.wire.constants import Capability, ColumnType, Command

ATTRIBUTES = Capability.QUERY_ATTRIBUTES.value
values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**64 - 1),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.datetimes(),
)
named = st.lists(st.tuples(st.binary(max_size=10), values), max_size=10)


@given(st.binary(max_size=40), named, st.sampled_from([0, ATTRIBUTES]))
def test_queries_round_trip(sql: bytes, attributes: list[tuple[bytes, SqlValue]], capabilities: int) -> None:
    query = Query(sql, tuple(attributes) if capabilities else ())
    assert parse_query(make_query(query, capabilities), capabilities) == query


def test_attributes_are_left_out_where_they_are_not_spoken() -> None:
    assert make_query(Query(b"SELECT 1", ((b"a", 1),)), 0) == b"\x03SELECT 1"


@given(
    st.lists(values, max_size=20),
    named,
    st.sampled_from([0, ATTRIBUTES]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 1),
)
def test_executes_round_trip_and_are_forwarded(
    bound: list[SqlValue],
    attributes: list[tuple[bytes, SqlValue]],
    capabilities: int,
    statement_id: int,
    cursor: int,
) -> None:
    payload = make_execute(
        statement_id, bound, cursor_flags=cursor, attributes=attributes, capabilities=capabilities
    )
    execute = parse_execute(payload, len(bound), b"", capabilities)
    assert (execute.statement_id, execute.cursor_flags) == (statement_id, cursor)
    assert execute.values == tuple(bound)
    assert execute.attributes == (tuple(attributes) if capabilities else ())
    assert forward_execute(execute, 7) == make_execute(7, bound, cursor_flags=cursor)


def test_types_are_remembered() -> None:
    first = parse_execute(make_execute(1, [5, "a"]), 2)
    again = (
        struct.pack("<BIBI", Command.STMT_EXECUTE, 1, 0, 1) + b"\x00\x00" + struct.pack("<q", 6) + b"\x01b"
    )
    second = parse_execute(again, 2, first.types)
    assert second.values == (6, "b")
    assert forward_execute(second, 9) == make_execute(9, [6, "b"])
    with pytest.raises(ProtocolError):
        parse_execute(again, 2)
    with pytest.raises(ProtocolError):
        parse_execute(again, 2, first.types[:1])


def test_long_data_stands_for_its_value() -> None:
    head = struct.pack("<BIBI", Command.STMT_EXECUTE, 1, 0, 1)
    types = struct.pack("<HHH", ColumnType.LONG, ColumnType.BLOB, ColumnType.VAR_STRING)
    payload = head + b"\x00\x01" + types + struct.pack("<i", 5)
    execute = parse_execute(payload, 3, long_data={1: b"\x00" * 9, 2: b"text"})
    assert execute.values == (5, b"\x00" * 9, "text")


def test_text_is_read_in_the_sessions_encoding() -> None:
    payload = make_execute(1, ["ä"], encoding="cp1252")
    assert parse_execute(payload, 1, encoding="cp1252").values == ("ä",)
    assert parse_execute(payload, 1).values == (b"\xe4",)


@pytest.mark.parametrize("capabilities", [0, ATTRIBUTES])
def test_truncated_executes_are_errors(capabilities: int) -> None:
    bound: list[SqlValue] = [1, "abc", Decimal("1.5"), datetime.timedelta(1), None, datetime.date(2020, 1, 1)]
    payload = make_execute(1, bound, capabilities=capabilities)
    for end in range(len(payload)):
        with pytest.raises(ProtocolError):
            parse_execute(payload[:end], len(bound), b"", capabilities)


def test_too_few_parameters_and_two_sets_are_errors() -> None:
    with pytest.raises(ProtocolError):
        parse_execute(make_execute(1, [1], capabilities=ATTRIBUTES), 2, b"", ATTRIBUTES)
    with pytest.raises(ProtocolError):
        parse_query(b"\x03\x00\x02SELECT 1", ATTRIBUTES)


def test_a_bound_date_with_a_displacement_is_refused() -> None:
    head = struct.pack("<BIBI", Command.STMT_EXECUTE, 1, 0, 1)
    payload = head + b"\x00\x01" + struct.pack("<H", ColumnType.DATETIME) + b"\x0d" + b"\x01" * 13
    with pytest.raises(MeshError) as caught:
        parse_execute(payload, 1)
    assert caught.value.number == 1235


def test_small_commands_round_trip() -> None:
    packet = LongData(7, 3, b"piece")
    assert parse_long_data(make_long_data(packet)) == packet
    assert parse_fetch(make_fetch(7, 100)) == (7, 100)
    assert parse_statement_id(make_statement_command(Command.STMT_CLOSE, 9)) == 9


@given(st.binary(max_size=60), st.integers(0, 9), st.sampled_from([0, ATTRIBUTES]))
def test_random_bytes_raise_known_errors_only(rest: bytes, count: int, capabilities: int) -> None:
    known = ColumnType.LONGLONG.to_bytes(2, "little") * count
    with suppress(ProtocolError, MeshError):
        parse_execute(b"\x17" + rest, count, known, capabilities)
    with suppress(ProtocolError, MeshError):
        parse_query(b"\x03" + rest, capabilities)
    for parse in (parse_long_data, parse_fetch, parse_statement_id):
        with suppress(ProtocolError):
            parse(b"\x18" + rest)
