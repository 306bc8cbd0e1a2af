"""One shard's answer on its way to the client: whole, byte by byte, renamed, cut, and behind a slow client."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import cast

import pytest

from dbmesh.backend.connection import Flavour
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.errors import ShardError
from dbmesh.planner.plan import Names, ShardPlan
from dbmesh.session.answering.errors import as_packet
from dbmesh.session.answering.relay import RelayReceiver
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import make_err
from tests.plugins import canned
from tests.plugins.canned import MODERN, OLD, MemoryTransport
from tests.plugins.scripted import Home, RecordingClient, column

ACTUAL = [column("a", ColumnType.LONGLONG, "t_order_1"), column("b", table="t_order_1")]
LOGIC = [column("a", ColumnType.LONGLONG, "t_order"), column("b", table="t_order")]
ROWS = [[b"1", b"x" * 300], [b"2", None], [b"3", b""]]
NAMES = Names("", {"t_order_1": "t_order"})
QUERY = frame(b"\x03SELECT", 0)
PLAN = cast("ShardPlan", SimpleNamespace(keeps_warnings=False, repeatable=False))


class Session:
    """What the relay needs of a session."""

    def __init__(self, capabilities: int = MODERN) -> None:
        self.running = None
        self.client = RecordingClient()
        self.capabilities = capabilities
        self.flavour = Flavour(deprecate_eof=capabilities == MODERN)
        self.found_rows = self.row_count = self.last_insert_id = 0
        self.warnings: list[object] = []
        self.works: list[asyncio.Task[object]] = []
        self.failed: list[ShardError] = []
        self.lost: list[int | None] = []
        self.finished = 0

    def now(self) -> float:
        return 0.0

    def finish(self) -> None:
        self.finished += 1

    def run(self, work: Coroutine[object, object, object]) -> None:
        self.works.append(asyncio.get_running_loop().create_task(work))  # type: ignore[arg-type]

    def error(self, error: Exception, *, sequence: int = 1) -> None:
        self.client.write(frame(make_err(as_packet(error)), sequence))

    def settle(self, error: ShardError) -> None:
        self.failed.append(error)

    def relay_lost(self, error: Exception, sequence: int | None) -> None:
        self.lost.append(sequence)


def start(capabilities: int = MODERN, *, pinned: bool = False) -> SimpleNamespace:
    session = Session(capabilities)
    transport = MemoryTransport()

    async def kill(thread_id: int) -> bool:
        del thread_id
        return True

    connection = MySQLConnection(
        "ds_1", "shop_1", session.flavour, transport, None, capabilities, 1, 2, 0.0, kill
    )
    connection.home = Home()
    relay = RelayReceiver(session)  # type: ignore[arg-type]
    relay.start(connection, QUERY, NAMES, pinned, PLAN)
    return SimpleNamespace(session=session, connection=connection, relay=relay, transport=transport)


def feed(connection: MySQLConnection, data: bytes, step: int) -> None:
    for position in range(0, len(data), step):
        connection.data_received(data[position : position + step])


@pytest.mark.parametrize("capabilities", [MODERN, OLD])
@pytest.mark.parametrize("step", [1, 5, 100_000])
async def test_rows_pass_untouched_and_names_are_logic_names(capabilities: int, step: int) -> None:
    world = start(capabilities)
    feed(world.connection, canned.result_set(ACTUAL, ROWS, capabilities=capabilities), step)
    assert world.session.client.data == canned.result_set(LOGIC, ROWS, capabilities=capabilities)
    assert (world.session.found_rows, world.session.row_count) == (3, -1)
    assert world.session.finished == 1
    assert world.connection.home.released == [world.connection]


@pytest.mark.parametrize("step", [1, 100_000])
async def test_an_ok_belongs_to_the_session(step: int) -> None:
    world = start()
    feed(world.connection, canned.ok(affected=4, insert_id=77), step)
    assert world.session.client.data == canned.ok(affected=4, insert_id=77)
    assert (world.session.row_count, world.session.last_insert_id) == (4, 77)
    assert world.session.finished == 1


async def test_an_error_is_told_in_logic_names() -> None:
    world = start()
    world.connection.data_received(canned.failure(1146, "Table 'shop_1.t_order_1' doesn't exist"))
    ((sequence, payload),) = world.session.client.packets()
    assert sequence == 1
    assert b"t_order'" in payload
    assert b"t_order_1" not in payload
    assert world.connection.home.released == [world.connection]


async def test_an_error_behind_rows_takes_the_next_id() -> None:
    world = start()
    rows = canned.result_set(ACTUAL, ROWS)[: -len(canned.result_set(ACTUAL, [])) + len(canned.header(ACTUAL))]
    world.connection.data_received(rows + canned.failure(1317, sequence=7))
    ids = [sequence for sequence, _ in world.session.client.packets()]
    assert ids == [1, 2, 3, 4, 5, 6, 7]


async def test_an_error_in_place_of_a_definition_is_the_first_packet_of_the_answer() -> None:
    world = start()
    head = canned.header(ACTUAL)
    first = 4 + int.from_bytes(head[5:8], "little") + 5
    world.connection.data_received(head[:first] + canned.failure(1317, sequence=3))
    assert [sequence for sequence, _ in world.session.client.packets()] == [1]


async def test_a_pinned_connection_is_not_given_back() -> None:
    world = start(pinned=True)
    world.connection.data_received(canned.result_set(ACTUAL, ROWS))
    assert world.connection.home.released == []
    world.relay.start(world.connection, QUERY, NAMES, True, PLAN)
    world.connection.data_received(canned.failure(1213, "Deadlock found"))
    assert [error.number for error in world.session.failed] == [1213]
    assert world.session.finished == 1, "the session ends the command when it has seen to the transaction"


@pytest.mark.parametrize("capabilities", [MODERN, OLD])
async def test_cut_anywhere_the_client_gets_the_next_id_or_knows_its_stream_is_torn(
    capabilities: int,
) -> None:
    whole = canned.result_set(ACTUAL, ROWS, capabilities=capabilities)
    for cut in range(len(whole)):
        world = start(capabilities)
        feed(world.connection, whole[:cut], 7)
        world.connection.connection_lost(None)
        (sequence,) = world.session.lost
        client = world.session.client
        position = expected = 0
        while position + 4 <= len(client.data):
            length = int.from_bytes(client.data[position : position + 3], "little")
            expected = client.data[position + 3]
            position += 4 + length
        if position == len(client.data):
            assert sequence == expected + 1, cut
        else:
            assert sequence is None, cut
        assert world.connection.home.discarded == [world.connection]


async def test_a_broken_packet_in_mid_rows_ends_the_stream() -> None:
    world = start()
    world.connection.data_received(canned.header(ACTUAL))
    world.connection.data_received(frame(b"\xfe\x00", 4))
    assert world.session.lost == [None]


async def test_a_definition_that_cannot_be_read_is_told() -> None:
    world = start()
    bad = canned.header(ACTUAL)[:5] + frame(b"\x03def\xff", 2) + frame(b"\x03def\xff", 3)
    world.connection.data_received(bad + frame(b"\xfe\x00\x00\x02\x00\x00\x00", 4))
    assert len(world.session.lost) == 1
    assert not world.connection.usable


async def test_a_slow_client_stops_its_shard_and_the_next_borrower_does_not_inherit_it() -> None:
    world = start()
    whole = canned.result_set(ACTUAL, ROWS)
    world.connection.data_received(whole[:-20])
    world.relay.pause()
    assert not world.transport.reading
    world.relay.resume()
    assert world.transport.reading
    client = world.session.client
    plain = client.write
    client.write = lambda data: (plain(data), world.relay.pause())  # as a full write buffer does
    world.connection.data_received(whole[-20:])
    assert world.connection.home.released == [world.connection]
    assert world.transport.reading


async def test_warnings_are_fetched_before_the_connection_goes_back() -> None:
    world = start()
    world.connection.data_received(canned.ok(warnings=1))
    assert world.session.client.packets()
    await asyncio.sleep(0)
    assert world.connection.home.released == []
    row = [b"Warning", b"1265", b"Data truncated"]
    world.connection.data_received(canned.result_set([column("L"), column("C"), column("M")], [row]))
    await asyncio.gather(*world.session.works)
    assert [(found.number, found.message) for found in world.session.warnings] == [(1265, "Data truncated")]
    assert world.connection.home.released == [world.connection]


async def test_warnings_that_cannot_be_fetched_do_not_answer_twice() -> None:
    world = start()
    world.connection.data_received(canned.ok(warnings=1))
    before = world.session.client.data
    await asyncio.sleep(0)
    world.connection.connection_lost(None)
    await asyncio.gather(*world.session.works)
    assert world.session.client.data == before
    assert world.session.lost == []


async def test_a_lost_client_closes_the_connection_under_way() -> None:
    world = start()
    assert world.relay.busy_connections() == (world.connection,)
    world.relay.drop()
    assert not world.connection.usable
    assert world.connection.home.discarded == [world.connection]
    assert world.session.lost == []


async def test_a_fetch_passes_rows_without_a_header() -> None:
    world = start()
    world.connection.data_received(canned.ok())
    world.session.client.data = b""
    world.relay.start_fetch(world.connection, frame(b"\x1c", 0))
    answer = frame(b"\x00\x00\x01x", 1) + frame(b"\xfe\x00\x00\x42\x00\x00\x00", 2)
    feed(world.connection, answer, 3)
    assert world.session.client.data == answer
    assert world.session.finished == 2
