"""Packets of results the mesh writes itself: ids, both forms of the end, text and binary, logic names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.planner.plan import Names
from dbmesh.session.answering.result_sink import HELD_BYTES, ResultSink, number_column, rename, text_column
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import ErrPacket, OkPacket
from dbmesh.wire.values import encode_text_row
from tests.plugins import canned
from tests.plugins.canned import MODERN, OLD
from tests.plugins.scripted import RecordingClient, column

NAMES = Names("", {"t_user_0": "t_user"})


@pytest.mark.parametrize("capabilities", [MODERN, OLD])
def test_a_result_set_is_what_a_server_sends(capabilities: int) -> None:
    client = RecordingClient()
    sink = ResultSink(client, capabilities, NAMES)
    sink.columns([column("a", table="t_user_0")])
    sink.rows([encode_text_row([b"x"])])
    sink.rows([encode_text_row([None]), encode_text_row([b""])])
    sink.end_rows(2, 0)
    sent = canned.result_set(
        [column("a", table="t_user")], [[b"x"], [None], [b""]], capabilities=capabilities
    )
    # Where definitions end no status is known yet: the status of that EOF is not looked at by clients.
    assert [(i, p) for i, p in client.packets() if p[:1] != b"\xfe"] == [
        (i, p) for i, p in _packets(sent) if p[:1] != b"\xfe"
    ]
    assert client.packets()[-1] == _packets(sent)[-1]


def _packets(data: bytes) -> list[tuple[int, bytes]]:
    client = RecordingClient()
    client.write(data)
    return client.packets()


def test_ids_wrap_and_several_results_follow_each_other() -> None:
    client = RecordingClient()
    sink = ResultSink(client, MODERN, NAMES, sequence=250)
    sink.columns([column("a")])
    sink.rows([encode_text_row([b"%d" % number]) for number in range(300)])
    sink.end_rows(10, 0)
    sink.ok(OkPacket(affected_rows=1))
    sink.error(ErrPacket(1064, "42000", b"no"))
    ids = [sequence for sequence, _ in client.packets()]
    assert ids == [(250 + number) % 256 for number in range(len(ids))]
    assert client.packets()[-1][1].startswith(b"\xff\x28\x04#42000no")


def test_binary_rows() -> None:
    client = RecordingClient()
    sink = ResultSink(client, MODERN, NAMES, binary=True)
    sink.columns([column("n", ColumnType.LONGLONG), column("s")])
    sink.rows([encode_text_row([b"258", None])])
    sink.end_rows(2, 0)
    assert client.packets()[-2][1] == b"\x00\x08" + (258).to_bytes(8, "little")


def test_rows_wait_for_more_as_on_a_server() -> None:
    client = RecordingClient()
    sink = ResultSink(client, MODERN, NAMES)
    sink.columns([column("a")])
    sink.rows([encode_text_row([b"x" * 100])])
    assert not client.packets()
    sink.rows([encode_text_row([b"x" * HELD_BYTES])])
    assert len(client.packets()) == 4
    sink.rows([encode_text_row([b"y"])])
    sink.error(ErrPacket(1317, "70100", b"interrupted"))
    assert [sequence for sequence, _ in client.packets()] == [1, 2, 3, 4, 5, 6]


def test_local_rows_without_rows_are_an_empty_set() -> None:
    client = RecordingClient()
    ResultSink(client, MODERN, NAMES).local_rows([text_column("a"), number_column("b")], [], 2)
    assert [payload[:1] for _, payload in client.packets()] == [b"\x02", b"\x03", b"\x03", b"\xfe"]


def test_an_alias_stays_and_a_table_of_no_rule_keeps_its_name() -> None:
    aliased = replace(column("a", table="t_user_0"), table=b"u")
    found = rename(aliased, NAMES)
    assert (found.table, found.org_table) == (b"u", b"t_user")
    assert rename(column("a", table="t_plain"), NAMES).org_table == b"t_plain"
    assert rename(column("a"), NAMES) == column("a")


def test_columns_of_the_servers_own_tables_stay_theirs() -> None:
    shown = replace(column("Field"), schema=b"information_schema", table=b"COLUMNS", org_table=b"COLUMNS")
    assert rename(shown, NAMES) == shown


def test_a_materialised_derived_table_has_no_schema() -> None:
    derived = replace(column("a"), schema=b"", table=b"d", org_table=b"d")
    assert rename(derived, NAMES) == derived


def test_an_answer_nobody_has_seen_can_be_taken_back() -> None:
    client = RecordingClient()
    sink = ResultSink(client, MODERN, NAMES)
    mark = sink.mark()
    sink.columns([column("wrong"), column("again")])
    assert sink.take_back(mark)
    sink.columns([column("a")])
    sink.rows([encode_text_row([b"x" * HELD_BYTES])])
    assert not sink.take_back(mark), "a part has left"
    sink.end_rows(2, 0)
    assert client.packets() == _packets(canned.result_set([column("a")], [[b"x" * HELD_BYTES]]))
