"""Header blocks and rows as whole series of packets: read, renamed, made.

Decides sequence ids and EOF packets inside such a series. A block is what `response.ResponseReader.header` holds.
Refuses to know which names belong to whom: renaming is the caller's function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from dbmesh.errors import ProtocolError
from dbmesh.wire.constants import ResponseKind, Status
from dbmesh.wire.frames import frame_rows
from dbmesh.wire.packets import (
    EOF,
    ColumnDefinition,
    EofPacket,
    PrepareOk,
    make_column_definition,
    make_eof,
    make_prepare_ok,
    parse_column_definition,
    parse_prepare_ok,
    read_column_definition,
)
from dbmesh.wire.primitives import pack_lenenc_int, truncated, unpack_lenenc_int


def split_block(block: bytes) -> Iterator[bytes]:
    """The payloads of a block. Raises ProtocolError when it does not end with a packet."""
    position = 0
    end = len(block)
    while position < end:
        start = position + 4
        if start > end:
            raise truncated("a block's packet header")
        position = start + int.from_bytes(block[position : position + 3], "little")
        if position > end:
            raise truncated("a block's packet")
        yield block[start:position]


def _is_eof(payload: bytes) -> bool:
    return len(payload) == 5 and payload[0] == EOF


def _eof_follows(payloads: Sequence[bytes], index: int) -> bool:
    return index + 1 < len(payloads) and _is_eof(payloads[index + 1])


def parse_header(block: bytes, *, deprecate_eof: bool) -> tuple[ColumnDefinition, ...]:
    """The definitions of a result set's header block. Raises ProtocolError when the block is not of that form or
    announces another number of columns. (Where only a cursor is opened there is no EOF packet in either form.)

    The same few blocks come again and again: those of common size are remembered."""
    parse = _parse_known_header if len(block) <= _COMMON_BLOCK else _parse_header
    return parse(block, deprecate_eof)


_COMMON_BLOCK = 4096


def _parse_header(block: bytes, deprecate_eof: bool) -> tuple[ColumnDefinition, ...]:
    payloads = list(split_block(block))
    if not payloads:
        raise truncated("a header block")
    if not deprecate_eof and _is_eof(payloads[-1]):
        payloads.pop()
    if unpack_lenenc_int(payloads[0], 0)[0] != len(payloads) - 1:
        raise ProtocolError("a header block with another number of definitions than it announces")
    return tuple(map(parse_column_definition, payloads[1:]))


_parse_known_header = lru_cache(maxsize=256)(_parse_header)


def make_header(
    columns: Sequence[ColumnDefinition], sequence: int, *, deprecate_eof: bool, status: int
) -> tuple[bytes, int]:
    """Column count, definitions and EOF (where due) from sequence id `sequence` on, and the id that follows."""
    payloads = [pack_lenenc_int(len(columns)), *map(make_column_definition, columns)]
    if not deprecate_eof:
        payloads.append(make_eof(EofPacket(status, 0)))
    return frame_rows(payloads, sequence)


def rewrite_header(
    block: bytes,
    rename: Callable[[ColumnDefinition], ColumnDefinition],
    deprecate_eof: bool,
    *,
    kind: ResponseKind = ResponseKind.QUERY,
    status: int = Status.AUTOCOMMIT.value,
) -> bytes:
    """A header block (of a QUERY, PREPARE or FIELD_LIST answer) with every definition renamed.

    `deprecate_eof` is the form the reader of the result wants. While the block has that form already, it keeps its
    packets, so that the sequence ids of the packets behind it stay right; otherwise EOF packets (with `status`) are
    added or left out, and what follows has to be numbered anew.
    """
    payloads = list(split_block(block))
    if not payloads:
        return block
    rewritten = []
    due = []
    if kind is not ResponseKind.FIELD_LIST:
        rewritten.append(payloads.pop(0))
        due = _group_ends(rewritten[0], kind)
    definitions = 0
    for index, payload in enumerate(payloads):
        if _is_eof(payload):
            if not deprecate_eof:
                rewritten.append(payload)
            continue
        column, end = read_column_definition(payload)
        rewritten.append(make_column_definition(rename(column)) + payload[end:])
        definitions += 1
        if definitions in due and not deprecate_eof and not _eof_follows(payloads, index):
            rewritten.append(make_eof(EofPacket(status, 0)))
    return frame_rows(rewritten, block[3])[0]


def _group_ends(first: bytes, kind: ResponseKind) -> list[int]:
    """After how many definitions the classic form has an EOF packet."""
    if kind is ResponseKind.PREPARE:
        prepared = parse_prepare_ok(first)
        return [prepared.parameters, prepared.parameters + prepared.columns]
    return [int.from_bytes(first[1:], "little") if first[0] >= 0xFB else first[0]]


def parse_prepare_answer(
    block: bytes, *, deprecate_eof: bool
) -> tuple[PrepareOk, tuple[ColumnDefinition, ...], tuple[ColumnDefinition, ...]]:
    """PREPARE's header block: its first packet, the parameters' and the columns' definitions. Raises ProtocolError."""
    payloads = split_block(block)
    first = parse_prepare_ok(next(payloads, b""))
    groups = []
    for count in (first.parameters, first.columns):
        groups.append(tuple(parse_column_definition(next(payloads, b"")) for _ in range(count)))
        if count and not deprecate_eof and not _is_eof(next(payloads, b"")):
            raise ProtocolError("PREPARE's definitions without their EOF packet")
    if next(payloads, None) is not None:
        raise ProtocolError("PREPARE's answer has more definitions than it announces")
    return first, groups[0], groups[1]


def make_prepare_answer(
    prepared: PrepareOk,
    parameters: Sequence[ColumnDefinition],
    columns: Sequence[ColumnDefinition],
    *,
    deprecate_eof: bool,
    status: int,
) -> bytes:
    """PREPARE's whole good answer from sequence id 1 on; `prepared` holds the counts of what follows."""
    payloads = [make_prepare_ok(prepared)]
    for group in (parameters, columns):
        payloads.extend(map(make_column_definition, group))
        if group and not deprecate_eof:
            payloads.append(make_eof(EofPacket(status, 0)))
    return frame_rows(payloads, 1)[0]
