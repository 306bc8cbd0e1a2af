"""Header blocks: read, renamed with their sequence ids kept, converted between the EOF forms."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.wire.blocks import (
    frame_rows,
    make_header,
    make_prepare_answer,
    parse_header,
    parse_prepare_answer,
    rewrite_header,
    split_block,
)
from dbmesh.wire.constants import MAX_PAYLOAD, ResponseKind
from dbmesh.wire.framing import PacketReader
from dbmesh.wire.packets import ColumnDefinition, PrepareOk, make_column_definition

FORMS = [True, False]
COLUMNS = tuple(
    ColumnDefinition(b"def", b"ds_0", b"t_order_1", b"t_order_1", name, name, 45, 80, 253, 1, 0)
    for name in (b"id", b"status")
)
RENAMED = tuple(replace(column, schema=b"shop", table=b"t_order") for column in COLUMNS)


def rename(column: ColumnDefinition) -> ColumnDefinition:
    return replace(column, schema=b"shop", table=b"t_order")


def sequence_ids(block: bytes) -> list[int]:
    reader = PacketReader(1 << 24)
    reader.feed(block)
    ids = []
    while (packet := reader.next_packet()) is not None:
        ids.append(packet[0])
    return ids


@pytest.mark.parametrize("deprecate_eof", FORMS)
def test_headers_round_trip(deprecate_eof: bool) -> None:
    block, sequence = make_header(COLUMNS, 254, deprecate_eof=deprecate_eof, status=2)
    assert parse_header(block, deprecate_eof=deprecate_eof) == COLUMNS
    assert sequence_ids(block) == [254, 255, 0] + ([] if deprecate_eof else [1])
    assert sequence == (1 if deprecate_eof else 2)


@pytest.mark.parametrize("before", FORMS)
@pytest.mark.parametrize("after", FORMS)
def test_headers_are_renamed_into_either_form(before: bool, after: bool) -> None:
    block, _ = make_header(COLUMNS, 1, deprecate_eof=before, status=0x22)
    wanted, _ = make_header(RENAMED, 1, deprecate_eof=after, status=0x22)
    assert rewrite_header(block, rename, after, status=0x22) == wanted


def test_an_eof_packet_keeps_its_status() -> None:
    block, _ = make_header(COLUMNS, 1, deprecate_eof=False, status=0x22)
    assert rewrite_header(block, lambda column: column, False) == block


@pytest.mark.parametrize("before", FORMS)
@pytest.mark.parametrize("after", FORMS)
@pytest.mark.parametrize("parameters", [0, 2])
@pytest.mark.parametrize("columns", [0, 2])
def test_prepare_answers_round_trip_and_are_renamed(
    before: bool, after: bool, parameters: int, columns: int
) -> None:
    prepared = PrepareOk(3, columns, parameters, 1)
    block = make_prepare_answer(
        prepared, COLUMNS[:parameters], COLUMNS[:columns], deprecate_eof=before, status=2
    )
    assert parse_prepare_answer(block, deprecate_eof=before) == (
        prepared,
        COLUMNS[:parameters],
        COLUMNS[:columns],
    )
    wanted = make_prepare_answer(
        prepared, RENAMED[:parameters], RENAMED[:columns], deprecate_eof=after, status=2
    )
    assert rewrite_header(block, rename, after, kind=ResponseKind.PREPARE) == wanted


def test_field_lists_keep_their_defaults() -> None:
    block, _ = frame_rows([make_column_definition(column) + b"\x011" for column in COLUMNS], 1)
    wanted, _ = frame_rows([make_column_definition(column) + b"\x011" for column in RENAMED], 1)
    assert rewrite_header(block, rename, True, kind=ResponseKind.FIELD_LIST) == wanted
    assert rewrite_header(b"", rename, True, kind=ResponseKind.FIELD_LIST) == b""


def test_a_block_of_the_other_form_is_refused() -> None:
    classic, _ = make_header(COLUMNS, 1, deprecate_eof=False, status=2)
    with pytest.raises(ProtocolError):
        parse_header(classic, deprecate_eof=True)
    prepared = make_prepare_answer(PrepareOk(1, 0, 2, 0), COLUMNS, (), deprecate_eof=True, status=2)
    with pytest.raises(ProtocolError):
        parse_prepare_answer(prepared, deprecate_eof=False)


@pytest.mark.parametrize("length", [1, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1])
def test_rows_are_numbered_through(length: int) -> None:
    rows = [b"a" * length, b"b"]
    data, sequence = frame_rows(rows, 254)
    reader = PacketReader(1 << 26)
    reader.expect_sequence(254)
    reader.feed(data)
    assert [reader.next_packet(), reader.next_packet()] == [
        ((sequence - 2) & 0xFF, rows[0]),
        ((sequence - 1) & 0xFF, rows[1]),
    ]


@given(st.binary(max_size=80))
def test_random_blocks_raise_protocol_errors_only(block: bytes) -> None:
    for form in FORMS:
        with suppress(ProtocolError):
            parse_header(block, deprecate_eof=form)
        with suppress(ProtocolError):
            parse_prepare_answer(block, deprecate_eof=form)
    with suppress(ProtocolError):
        list(split_block(block))
    for kind in (ResponseKind.QUERY, ResponseKind.PREPARE, ResponseKind.FIELD_LIST):
        with suppress(ProtocolError):
            rewrite_header(block, rename, True, kind=kind)
