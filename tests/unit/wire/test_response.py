"""The response reader: every kind of answer, whole and torn at every byte, relayed and split, in both EOF forms."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.wire.blocks import make_header, make_prepare_answer, split_block
from dbmesh.wire.constants import MAX_PAYLOAD, Capability, ResponseKind, Status
from dbmesh.wire.frames import frame_rows
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import (
    ColumnDefinition,
    EofPacket,
    ErrPacket,
    OkPacket,
    PrepareOk,
    make_column_definition,
    make_end_of_rows,
    make_eof,
    make_err,
    make_ok,
)
from dbmesh.wire.progress import ANSWER_END, LOCAL_INFILE, NEED_DATA
from dbmesh.wire.response import FETCH, FIELD_LIST, PREPARE, QUERY, SIMPLE, STATISTICS, ResponseReader

FORMS = [True, False]
MORE = Status.MORE_RESULTS_EXISTS.value
CURSOR = Status.CURSOR_EXISTS.value
ERROR = ErrPacket(1064, "42000", b"no")


def column(name: bytes) -> ColumnDefinition:
    return ColumnDefinition(b"def", b"ds", b"t_order_0", b"t_order_0", name, name, 45, 80, 253, 1, 0)


def capabilities(deprecate_eof: bool) -> int:
    return Capability.DEPRECATE_EOF.value if deprecate_eof else 0


@dataclass
class Result:
    """One result as a caller collects it from the reader."""

    header: bytes = b""
    rows: bytes = b""
    packets: list[bytes] = field(default_factory=list)
    terminal: bytes = b""
    row_count: int = 0


def make_result(
    names: list[bytes], rows: list[bytes], deprecate_eof: bool, *, sequence: int = 1, status: int = 2
) -> tuple[Result, int]:
    header, sequence = make_header(
        list(map(column, names)), sequence, deprecate_eof=deprecate_eof, status=status
    )
    framed, sequence = frame_rows(rows, sequence)
    terminal, sequence = frame_rows([make_end_of_rows(status, 3, capabilities(deprecate_eof))], sequence)
    return Result(header, framed, rows, terminal, len(rows)), sequence


def stream_of(results: list[Result]) -> bytes:
    return b"".join(result.header + result.rows + result.terminal for result in results)


def read(
    reader: ResponseReader,
    stream: bytes,
    size: int,
    kind: ResponseKind = QUERY,
    *,
    split: bool = False,
) -> list[Result]:
    """Feed `stream` in pieces of `size` bytes and collect the results, which must end with the answer."""
    reader.start(kind, split=split)
    results = [Result()]
    for start in range(0, len(stream), size):
        progress = reader.feed(stream[start : start + size])
        while True:
            result = results[-1]
            result.header += reader.header
            result.rows += reader.rows
            result.packets += reader.packets
            if progress is NEED_DATA:
                break
            result.terminal = reader.terminal
            result.row_count = reader.row_count
            if progress is ANSWER_END:
                reader.rest += stream[start + size :]
                return results
            results.append(Result())
            progress = reader.resume()
    raise AssertionError("the answer did not end")


def expected(results: list[Result], split: bool) -> list[Result]:
    return [
        Result(r.header, b"" if split else r.rows, r.packets if split else [], r.terminal, r.row_count)
        for r in results
    ]


rows_strategy = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=12).filter(lambda row: row[0] < 0xFE),
        st.integers(200, 700).map(lambda size: b"\xfc" + b"\xfe\xff\x00" * size),
    ),
    max_size=6,
)


@pytest.mark.parametrize("deprecate_eof", FORMS)
@pytest.mark.parametrize("split", [False, True])
@given(rows=rows_strategy, size=st.integers(1, 60), tail=st.binary(max_size=3))
def test_result_sets_survive_any_cut(
    deprecate_eof: bool, split: bool, rows: list[bytes], size: int, tail: bytes
) -> None:
    first, sequence = make_result([b"a", b"b"], rows, deprecate_eof, status=2 | MORE)
    second, sequence = make_result([b"c"], rows[:1], deprecate_eof, sequence=sequence, status=2 | MORE)
    ok = Result(terminal=frame(make_ok(OkPacket(1, 2, 3), 0), sequence))
    results = [first, second, ok]
    reader = ResponseReader(deprecate_eof=deprecate_eof, session_track=False)
    stream = stream_of(results) + tail
    assert read(reader, stream, size, split=split) == expected(results, split)
    assert reader.take_rest() == tail
    assert reader.ok() == OkPacket(1, 2, 3)
    # The header is known by now: the walk is replaced by a comparison, with the same outcome.
    assert read(reader, stream, len(stream), split=split) == expected(results, split)


@pytest.mark.parametrize("deprecate_eof", FORMS)
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    ("length", "size"),
    [
        (MAX_PAYLOAD - 1, 1 << 22),
        (MAX_PAYLOAD, 1 << 22),
        (MAX_PAYLOAD + 1, 1 << 22),
        (MAX_PAYLOAD, 1 << 26),
        (2 * MAX_PAYLOAD, 1 << 27),
    ],
)
def test_rows_of_16_megabytes(deprecate_eof: bool, split: bool, length: int, size: int) -> None:
    long_row = b"\xfe" + b"\xff" * (length - 1) if length >= MAX_PAYLOAD else b"\xfd" * length
    result, _ = make_result([b"a"], [b"\x01a", long_row, b"\x01b", long_row], deprecate_eof)
    reader = ResponseReader(deprecate_eof=deprecate_eof, session_track=False)
    assert read(reader, stream_of([result]), size, split=split) == expected([result], split)


@pytest.mark.parametrize("split", [False, True])
def test_a_torn_long_row_is_cut_anywhere_near_its_seam(split: bool) -> None:
    result, _ = make_result([b"a"], [b"\xfe" * (MAX_PAYLOAD + 3)], True)
    stream = stream_of([result])
    seam = len(result.header) + 4 + MAX_PAYLOAD
    for cut in range(seam - 2, seam + 8):
        reader = ResponseReader(deprecate_eof=True, session_track=False)
        reader.start(QUERY, split=split)
        assert reader.feed(stream[:cut]) is NEED_DATA
        header, rows, packets = reader.header, reader.rows, reader.packets
        assert reader.feed(stream[cut:]) is ANSWER_END
        got = Result(header, rows + reader.rows, packets + reader.packets, reader.terminal, reader.row_count)
        assert [got] == expected([result], split)


@pytest.mark.parametrize("deprecate_eof", FORMS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_single_packets(deprecate_eof: bool, size: int) -> None:
    reader = ResponseReader(deprecate_eof=deprecate_eof, session_track=True)
    large = OkPacket(70000, 2**40, 2, 9, b"Rows matched: 1")
    for kind in (QUERY, SIMPLE):
        stream = frame(make_ok(large, Capability.SESSION_TRACK), 1)
        assert read(reader, stream, size, kind) == [Result(terminal=stream)]
        assert (reader.ok(), reader.status, reader.warnings, reader.failed) == (large, 2, 9, False)
    tracked = OkPacket(0, 0, 2 | Status.SESSION_STATE_CHANGED, 0, b"", b"\x01\x03\x02ds")
    read(reader, frame(make_ok(tracked, Capability.SESSION_TRACK), 1), size)
    assert reader.ok() == tracked
    for kind in ResponseKind:
        stream = frame(make_err(ERROR), 1)
        assert read(reader, stream, size, kind) == [Result(terminal=stream)]
        assert reader.failed
        assert reader.error() == ERROR
        assert reader.warnings == 0
    read(reader, frame(make_eof(EofPacket(2, 5)), 1), size, SIMPLE)
    assert (reader.ok(), reader.warnings) == (OkPacket(0, 0, 2, 5), 5)
    text = frame(b"Uptime: 1", 1)
    assert read(reader, text, size, STATISTICS) == [Result(terminal=text)]


@pytest.mark.parametrize("deprecate_eof", FORMS)
@pytest.mark.parametrize("size", [1, 7, 100000])
@pytest.mark.parametrize(("parameters", "columns"), [(0, 0), (2, 0), (0, 1), (1, 3)])
def test_prepare(deprecate_eof: bool, size: int, parameters: int, columns: int) -> None:
    block = make_prepare_answer(
        PrepareOk(7, columns, parameters, 0),
        [column(b"?")] * parameters,
        [column(b"c")] * columns,
        deprecate_eof=deprecate_eof,
        status=2,
    )
    reader = ResponseReader(deprecate_eof=deprecate_eof, session_track=False)
    assert read(reader, block + b"tail", size, PREPARE) == [Result(header=block)]
    assert reader.take_rest() == b"tail"


@pytest.mark.parametrize("deprecate_eof", FORMS)
@pytest.mark.parametrize("size", [1, 7, 100000])
@pytest.mark.parametrize("count", [0, 2])
def test_field_list(deprecate_eof: bool, size: int, count: int) -> None:
    block, sequence = frame_rows([make_column_definition(column(b"a")) + b"\x011"] * count, 1)
    terminal = frame(make_end_of_rows(2, 0, capabilities(deprecate_eof)), sequence)
    reader = ResponseReader(deprecate_eof=deprecate_eof, session_track=False)
    assert read(reader, block + terminal, size, FIELD_LIST) == [Result(header=block, terminal=terminal)]


@pytest.mark.parametrize("deprecate_eof", FORMS)
@pytest.mark.parametrize("split", [False, True])
@given(
    runs=st.lists(st.tuples(st.sampled_from([1, 2, 7, 250, 300, 70000]), st.integers(1, 90)), max_size=5),
    size=st.sampled_from([900, 5000, 1 << 16, 1 << 22]),
)
def test_runs_of_equal_rows(deprecate_eof: bool, split: bool, runs: list[tuple[int, int]], size: int) -> None:
    rows = [
        bytes((number & 0x7F,)) * length
        for length, count in runs
        for number in range(count * 20 // length + 1)
    ]
    result, _ = make_result([b"a"], rows, deprecate_eof)
    reader = ResponseReader(deprecate_eof=deprecate_eof, session_track=False)
    assert read(reader, stream_of([result]), size, split=split) == expected([result], split)


@pytest.mark.parametrize("split", [False, True])
def test_a_terminal_as_long_as_the_rows_ends_their_run(split: bool) -> None:
    end = make_end_of_rows(2, 0, Capability.DEPRECATE_EOF.value)
    for last in (end, make_err(ErrPacket(1, "HY000", b"x" * (len(end))))):
        result, sequence = make_result([b"a"], [b"\x06" * len(last)] * 2000, True)
        result.terminal = frame(last, sequence - 1)
        reader = ResponseReader(deprecate_eof=True, session_track=False)
        tail = frame(b"\x06" * len(last), 9) * 2000
        assert read(reader, stream_of([result]) + tail, 10**7, split=split) == expected([result], split)
        assert reader.take_rest() == tail


@pytest.mark.parametrize("deprecate_eof", FORMS)
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("size", [1, 7, 100000])
def test_cursors(deprecate_eof: bool, split: bool, size: int) -> None:
    definitions, sequence = make_header([column(b"a")], 1, deprecate_eof=True, status=0)
    terminal = frame(make_end_of_rows(2 | CURSOR, 0, capabilities(deprecate_eof)), sequence)
    reader = ResponseReader(deprecate_eof=deprecate_eof, session_track=False)
    opened = [Result(header=definitions, terminal=terminal)]
    assert read(reader, definitions + terminal, size, split=split) == opened
    # A cursor's header lacks the EOF of the classic form; it must not be taken for the header of the same query.
    result, _ = make_result([b"a"], [b"\x01a"], deprecate_eof)
    assert read(reader, stream_of([result]), size, split=split) == expected([result], split)
    rows, sequence = frame_rows([b"\x00\x00\x01a"] * 2, 1)
    end = frame(make_end_of_rows(2 | CURSOR, 0, capabilities(deprecate_eof)), sequence)
    fetched = Result(rows=rows, packets=[b"\x00\x00\x01a"] * 2, terminal=end, row_count=2)
    assert read(reader, rows + end, size, FETCH, split=split) == expected([fetched], split)


@pytest.mark.parametrize("deprecate_eof", FORMS)
def test_headers_seen_lately_are_found_again(deprecate_eof: bool) -> None:
    reader = ResponseReader(deprecate_eof=deprecate_eof, session_track=False)
    results = [make_result([b"a%d" % n] * n, [b"\x01a" * n], deprecate_eof)[0] for n in (1, 2, 12)]
    for result in results * 3:
        for size in (10**6, 3):
            assert read(reader, stream_of([result]), size) == expected([result], False)


@pytest.mark.parametrize("deprecate_eof", FORMS)
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("size", [1, 10**6])
def test_an_error_may_come_at_any_place(deprecate_eof: bool, split: bool, size: int) -> None:
    result, _ = make_result([b"a", b"b"], [b"\x01a\x01b"] * 2, deprecate_eof)
    packets = list(split_block(stream_of([result])))
    error = frame(make_err(ERROR), 99)
    for count in range(len(packets)):
        reader = ResponseReader(deprecate_eof=deprecate_eof, session_track=False)
        got = read(reader, frame_rows(packets[:count], 1)[0] + error, size, split=split)
        assert reader.failed
        assert got[0].terminal == error
        assert got[0].row_count == max(0, count - len(packets) + 3)
        assert bool(got[0].header) == (count >= len(packets) - 3)


def test_a_local_file_is_asked_for() -> None:
    reader = ResponseReader(deprecate_eof=True, session_track=False)
    reader.start(QUERY)
    assert reader.feed(frame(b"\xfb/etc/passwd", 1)) is LOCAL_INFILE
    assert reader.terminal[5:] == b"/etc/passwd"
    ok = frame(make_ok(OkPacket(), 0), 3)
    assert read(reader, ok, 100, SIMPLE) == [Result(terminal=ok)]


def test_pipelined_answers_follow_each_other() -> None:
    ok = frame(make_ok(OkPacket(1), 0), 1)
    result, _ = make_result([b"a"], [b"\x01a"], True)
    reader = ResponseReader(deprecate_eof=True, session_track=False)
    assert read(reader, ok + stream_of([result]), 10**6) == [Result(terminal=ok)]
    assert read(reader, reader.take_rest(), 10**6) == expected([result], False)


@pytest.mark.parametrize(
    "stream",
    [
        frame(b"", 1) + b"x",
        frame(b"\xfe\0\0\0\0", 1),
        frame(b"\x01extra", 1),
        frame(b"\x01", 1) + frame(b"\xfb", 2),
        frame(b"\x01", 1) + b"\xff\xff\xff\x02\x03",
    ],
)
def test_breaches_are_protocol_errors(stream: bytes) -> None:
    reader = ResponseReader(deprecate_eof=False, session_track=False)
    reader.start(QUERY)
    with pytest.raises(ProtocolError):
        reader.feed(stream)


@pytest.mark.parametrize("split", [False, True])
def test_a_short_packet_headed_fe_is_never_a_row(split: bool) -> None:
    header, sequence = make_header([column(b"a")], 1, deprecate_eof=False, status=2)
    reader = ResponseReader(deprecate_eof=False, session_track=False)
    reader.start(QUERY, split=split)
    with pytest.raises(ProtocolError):
        reader.feed(header + frame(b"\xfe" + b"\x01" * 40, sequence))


def test_definitions_need_their_eof_in_the_classic_form() -> None:
    header, sequence = make_header([column(b"a")], 1, deprecate_eof=True, status=2)
    reader = ResponseReader(deprecate_eof=False, session_track=False)
    reader.start(QUERY)
    with pytest.raises(ProtocolError):
        reader.feed(header + frame(b"\x08a row....", sequence))


def test_bytes_nobody_asked_for_are_a_protocol_error() -> None:
    reader = ResponseReader(deprecate_eof=True, session_track=False)
    with pytest.raises(ProtocolError):
        reader.feed(frame(make_ok(OkPacket(), 0), 1))


@given(
    kind=st.sampled_from(ResponseKind),
    deprecate_eof=st.booleans(),
    split=st.booleans(),
    chunks=st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.binary(min_size=1, max_size=20).map(lambda payload: frame(payload, 1)),
            st.sampled_from([frame(b"\x01", 1), frame(make_column_definition(column(b"a")), 2)]),
        ),
        max_size=6,
    ),
)
def test_random_bytes_raise_protocol_errors_only(
    kind: ResponseKind, deprecate_eof: bool, split: bool, chunks: list[bytes]
) -> None:
    reader = ResponseReader(deprecate_eof=deprecate_eof, session_track=True)
    reader.start(kind, split=split)
    with suppress(ProtocolError):
        for chunk in chunks:
            progress = reader.feed(chunk)
            while progress not in (NEED_DATA, ANSWER_END, LOCAL_INFILE):
                progress = reader.resume()
