"""Every command of the protocol the mesh speaks, and what it does with those it does not."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

import pytest

from tests.plugins.fix_mesh import Shop, Target
from tests.plugins.raw_client import (
    BASIC,
    COM_DEBUG,
    COM_FIELD_LIST,
    COM_INIT_DB,
    COM_PROCESS_KILL,
    COM_QUERY,
    COM_QUIT,
    COM_REFRESH,
    COM_RESET_CONNECTION,
    COM_SET_OPTION,
    COM_STATISTICS,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_FETCH,
    COM_STMT_RESET,
    COM_STMT_SEND_LONG_DATA,
    CONNECT_ATTRS,
    CURSOR_EXISTS,
    DEPRECATE_EOF,
    LAST_ROW_SENT,
    MORE_RESULTS,
    MULTI_STATEMENTS,
    PS_MULTI_RESULTS,
    QUERY_ATTRIBUTES,
    SESSION_STATE_CHANGED,
    SESSION_TRACK,
    Failure,
    Ok,
    RawClient,
    ResultSet,
    execute_payload,
    read_lenenc,
    read_strings,
    session_changes,
)

pytestmark = pytest.mark.integration

Connect = Callable[..., RawClient]
FOUR_ORDERS = "SELECT order_id, status FROM t_order WHERE order_id <= 4 ORDER BY order_id"


def rows_of(reply: object) -> list[list[bytes | None]]:
    """The rows of a text result."""
    assert isinstance(reply, ResultSet), reply
    return reply.text()


def test_ping_and_statistics(raw: RawClient) -> None:
    assert isinstance(raw.ping(), Ok)
    raw.command(COM_STATISTICS)
    assert b"Uptime" in raw.receive()
    assert isinstance(raw.ping(), Ok)


def test_quit_closes(raw: RawClient) -> None:
    raw.command(COM_QUIT)
    with contextlib.suppress(ConnectionResetError):
        assert raw.socket.recv(1) == b""


def test_init_db_and_its_error(raw: RawClient) -> None:
    raw.command(COM_INIT_DB, b"shop")
    assert isinstance(raw.read_reply(), Ok)
    assert rows_of(raw.query("SELECT DATABASE()")) == [[b"shop"]]
    raw.command(COM_INIT_DB, b"nowhere")
    reply = raw.read_reply()
    assert isinstance(reply, Failure)
    assert (reply.number, reply.sqlstate) == (1049, "42000")
    assert rows_of(raw.query("SELECT DATABASE()")) == [[b"shop"]]


def test_a_connection_without_database_says_so(connect: Connect) -> None:
    client = connect(database=None)
    reply = client.query("SELECT * FROM t_user")
    assert isinstance(reply, Failure)
    assert (reply.number, reply.sqlstate) == (1046, "3D000")
    assert rows_of(client.query("SELECT COUNT(*) FROM shop.t_user")) == [[b"60"]]


@pytest.mark.parametrize("parts", [4, 2 | 16, 32])
def test_refresh_is_a_flush(raw: RawClient, parts: int) -> None:
    raw.command(COM_REFRESH, bytes([parts]))
    assert isinstance(raw.read_reply(), Ok)
    assert isinstance(raw.ping(), Ok)


def test_debug_is_answered(raw: RawClient) -> None:
    raw.command(COM_DEBUG)
    assert raw.receive()[0] in (0x00, 0xFE)
    assert isinstance(raw.ping(), Ok)


def test_field_list_names_the_columns(raw: RawClient) -> None:
    raw.command(COM_FIELD_LIST, b"t_order\x00")
    names = []
    while (packet := raw.receive())[0] != 0xFE:
        assert packet[0] != 0xFF, packet
        names.append(read_strings(packet, 6)[4])
    assert names == [b"order_id", b"user_id", b"status", b"amount", b"qty", b"note", b"created"]
    assert isinstance(raw.ping(), Ok)


def _fields(client: RawClient, table: bytes, wildcard: bytes) -> list[list[bytes | None]]:
    """Names and default of each column COM_FIELD_LIST tells."""
    client.command(COM_FIELD_LIST, table + b"\x00" + wildcard)
    found = []
    while (packet := client.receive())[0] != 0xFE:
        assert packet[0] != 0xFF, packet
        names = read_strings(packet, 6)
        position = sum(1 + len(name or b"") for name in names) + 13
        found.append([names[2], names[4], *read_strings(packet[position:], 1)])
    return found


def test_field_list_knows_defaults_and_wildcards(raw: RawClient, shop: Shop) -> None:
    assert _fields(raw, b"t_user", b"b%") == [[b"t_user", b"balance", b"0.00"], [b"t_user", b"born", None]]
    assert _fields(raw, b"t_config", b"_ame")[0][1] == b"name"
    raw.command(COM_INIT_DB, b"information_schema")
    assert isinstance(raw.read_reply(), Ok)
    assert [name for _, name, _ in _fields(raw, b"schemata", b"default_char%")] == [
        b"DEFAULT_CHARACTER_SET_NAME"
    ]


def test_field_list_of_an_unknown_table_is_an_error(raw: RawClient) -> None:
    raw.command(COM_FIELD_LIST, b"nothing\x00")
    packet = raw.receive()
    assert packet[0] == 0xFF
    assert raw.failure(packet).number == 1146
    assert isinstance(raw.ping(), Ok)


def test_multi_statements_answer_one_by_one(connect: Connect) -> None:
    client = connect(BASIC | MULTI_STATEMENTS)
    first = client.query("SELECT 1; SELECT order_id FROM t_order WHERE order_id = 7; SET @x = 1; SELECT @x")
    assert rows_of(first) == [[b"1"]]
    assert isinstance(first, ResultSet)
    assert first.status & MORE_RESULTS
    second = client.read_reply()
    assert rows_of(second) == [[b"7"]]
    third = client.read_reply()
    assert isinstance(third, Ok)
    assert third.status & MORE_RESULTS
    last = client.read_reply()
    assert rows_of(last) == [[b"1"]]
    assert isinstance(last, ResultSet)
    assert not last.status & MORE_RESULTS
    assert isinstance(client.ping(), Ok)


def test_the_packet_behind_definitions_tells_of_further_results(connect: Connect) -> None:
    client = connect(BASIC | MULTI_STATEMENTS)
    client.command(COM_QUERY, b"SELECT COUNT(*) FROM t_order; SELECT 1")
    for further in (MORE_RESULTS, 0):
        assert client.receive() == b"\x01"
        client.receive()
        head, row, tail = client.receive(), client.receive(), client.receive()
        assert (head[0], tail[0], len(row)) == (0xFE, 0xFE, row[0] + 1)
        for packet in (head, tail):
            assert struct.unpack_from("<H", packet, 3)[0] & MORE_RESULTS == further


def test_an_error_ends_multi_statements(connect: Connect) -> None:
    client = connect(BASIC | MULTI_STATEMENTS)
    assert rows_of(client.query("SELECT 1; SELECT * FROM nothing; SELECT 2")) == [[b"1"]]
    assert isinstance(client.read_reply(), Failure)
    assert isinstance(client.ping(), Ok)


def test_a_semicolon_without_the_capability_is_a_syntax_error(raw: RawClient) -> None:
    reply = raw.query("SELECT 1; SELECT 2")
    assert isinstance(reply, Failure)
    assert reply.number == 1064
    assert rows_of(raw.query("SELECT 1;")) == [[b"1"]]


def test_set_option_turns_multi_statements_on_and_off(raw: RawClient) -> None:
    raw.command(COM_SET_OPTION, struct.pack("<H", 0))
    assert raw.receive()[0] in (0x00, 0xFE)
    assert rows_of(raw.query("SELECT 1; SELECT 2")) == [[b"1"]]
    assert rows_of(raw.read_reply()) == [[b"2"]]
    raw.command(COM_SET_OPTION, struct.pack("<H", 1))
    assert raw.receive()[0] in (0x00, 0xFE)
    assert isinstance(raw.query("SELECT 1; SELECT 2"), Failure)


@pytest.mark.parametrize(
    "statement", [FOUR_ORDERS, "SELECT * FROM t_user WHERE user_id = 3", "SELECT 1", "SHOW TABLES"]
)
def test_answers_with_and_without_eof_packets_are_the_same(connect: Connect, statement: str) -> None:
    with_eof, without = connect(BASIC).query(statement), connect(BASIC | DEPRECATE_EOF).query(statement)
    assert rows_of(with_eof) == rows_of(without)


def test_reset_connection_forgets_variables_and_transactions(raw: RawClient, fresh_shop: Shop) -> None:
    raw.query("SET @x = 5, autocommit = 0")
    raw.query("INSERT INTO t_auto VALUES (6, 'gone', 1)")
    raw.command(COM_RESET_CONNECTION)
    assert isinstance(raw.read_reply(), Ok)
    assert rows_of(raw.query("SELECT @x, @@autocommit")) == [[None, b"1"]]
    assert rows_of(raw.query("SELECT COUNT(*) FROM t_auto")) == [[b"0"]]
    assert rows_of(raw.query("SELECT DATABASE()")) == [[b"shop"]]


def test_change_user_starts_a_new_session(raw: RawClient, target: Target) -> None:
    raw.query("SET @x = 5")
    assert isinstance(raw.change_user(target.user, target.password, "shop"), Ok)
    assert rows_of(raw.query("SELECT @x")) == [[None]]


def test_change_user_with_a_wrong_password_is_refused(raw: RawClient, target: Target) -> None:
    reply = raw.change_user(target.user, "wrong", "shop")
    assert isinstance(reply, Failure)
    assert reply.number == 1045


@pytest.mark.parametrize(
    "number", [0x00, 0x05, 0x06, 0x0B, 0x0F, 0x10, 0x12, 0x14, 0x15, 0x1D, 0x1E, 0x42, 0xFE]
)
def test_an_unknown_command_is_an_error_and_the_session_lives_on(
    shop: Shop, connect: Connect, number: int
) -> None:
    if not shop.meshed:
        pytest.skip("one server speaks some of these")
    raw = connect()
    raw.command(number, b"whatever")
    packet = raw.receive()
    assert packet[0] == 0xFF
    assert raw.failure(packet).number in (1047, 1235)
    assert isinstance(raw.ping(), Ok)


def test_prepare_describes_parameters_and_columns(raw: RawClient) -> None:
    prepared = raw.prepare("SELECT order_id, status, amount FROM t_order WHERE order_id = ? AND user_id > ?")
    assert not isinstance(prepared, Failure), prepared
    statement_id, parameters, names = prepared
    assert parameters == 2
    assert names == ["order_id", "status", "amount"]
    reply = raw.execute(statement_id, [12, 0])
    assert isinstance(reply, ResultSet), reply
    assert len(reply.rows) == 1
    raw.command(COM_STMT_CLOSE, struct.pack("<I", statement_id))
    reply = raw.execute(statement_id, [12, 0])
    assert isinstance(reply, Failure)
    assert reply.number == 1243


@pytest.mark.parametrize("statement", ["SHOW WARNINGS", "SHOW COUNT(*) ERRORS", "SHOW PROCESSLIST"])
def test_prepare_tells_the_columns_of_what_the_session_answers(raw: RawClient, statement: str) -> None:
    prepared = raw.prepare(statement)
    assert not isinstance(prepared, Failure), prepared
    reply = raw.execute(prepared[0], [])
    assert isinstance(reply, ResultSet), reply
    # A plain server tells more of its processes.
    assert prepared[2][:3] == reply.names[:3]
    assert prepared[2]


def test_prepare_of_nonsense_is_an_error(raw: RawClient) -> None:
    for statement, number in (("SELEKT ?", 1064), ("SELECT * FROM nothing WHERE a = ?", 1146)):
        reply = raw.prepare(statement)
        assert isinstance(reply, Failure)
        assert reply.number == number
    assert isinstance(raw.ping(), Ok)


def test_many_statements_are_prepared_at_once(raw: RawClient) -> None:
    ids = []
    for number in range(50):
        prepared = raw.prepare(f"SELECT {number}, order_id FROM t_order WHERE order_id = ?")
        assert not isinstance(prepared, Failure)
        ids.append(prepared[0])
    assert len(set(ids)) == 50
    for statement_id in reversed(ids):
        reply = raw.execute(statement_id, [5])
        assert isinstance(reply, ResultSet)
        assert len(reply.rows) == 1


def test_the_statement_prepared_last_has_an_id_of_its_own(raw: RawClient, shop: Shop) -> None:
    last = 0xFFFFFFFF
    prepared = raw.prepare("SELECT order_id FROM t_order WHERE order_id = ?")
    assert not isinstance(prepared, Failure)
    if b"MariaDB" in raw.greeting or shop.meshed:
        reply = raw.execute(last, [5])
        assert isinstance(reply, ResultSet)
        assert len(reply.rows) == 1
    assert isinstance(raw.prepare("SELECT nope FROM t_order"), Failure)
    assert isinstance(raw.execute(last, [5]), Failure)
    assert isinstance(raw.execute(prepared[0], [5]), ResultSet)


@pytest.mark.parametrize(
    "statement", ["RENAME TABLE nope TO nopes", "DROP TABLE nope", "ALTER TABLE nope ADD a INT"]
)
def test_definitions_of_missing_tables_can_be_prepared(raw: RawClient, statement: str) -> None:
    prepared = raw.prepare(statement)
    assert not isinstance(prepared, Failure)
    assert isinstance(raw.execute(prepared[0], []), Failure)


def test_no_cursor_for_select_into(raw: RawClient) -> None:
    prepared = raw.prepare("SELECT 1 INTO @a")
    assert not isinstance(prepared, Failure)
    reply = raw.execute(prepared[0], [], flags=1)
    assert isinstance(reply, Failure)
    assert isinstance(raw.execute(prepared[0], []), Ok)


def test_a_cursor_is_fetched_in_pieces(raw: RawClient) -> None:
    prepared = raw.prepare(
        "SELECT a.code, b.code, c.code FROM t_country a, t_country b, t_country c WHERE a.code <> ?"
    )
    assert not isinstance(prepared, Failure)
    assert _open_cursor(raw, prepared[0], b"DE") & CURSOR_EXISTS
    total = 0
    for _ in range(10):
        raw.command(COM_STMT_FETCH, struct.pack("<II", prepared[0], 15))
        piece = raw.read_rows(["a", "b", "c"])
        assert isinstance(piece, ResultSet), piece
        total += len(piece.rows)
        if piece.status & LAST_ROW_SENT:
            break
        assert len(piece.rows) == 15
    assert total == 48
    raw.command(COM_STMT_RESET, struct.pack("<I", prepared[0]))
    assert isinstance(raw.read_reply(), Ok)
    reply = raw.execute(prepared[0], [b"DE"])
    assert isinstance(reply, ResultSet)
    assert len(reply.rows) == 48


def _fetch(raw: RawClient, statement_id: int, count: int) -> ResultSet:
    raw.command(COM_STMT_FETCH, struct.pack("<II", statement_id, count))
    reply = raw.read_rows(["order_id"])
    assert isinstance(reply, ResultSet), reply
    return reply


@pytest.mark.parametrize(
    "query",
    [
        "SELECT order_id FROM t_order WHERE order_id > ? ORDER BY order_id",
        "SELECT order_id, ROW_NUMBER() OVER (ORDER BY order_id) FROM t_order WHERE order_id > ?",
        "SELECT amount, MAX(order_id) FROM t_order WHERE order_id > ? GROUP BY amount, order_id",
    ],
)
@pytest.mark.parametrize("eof", [True, False])
def test_a_cursor_over_several_nodes_is_fetched_in_pieces(connect: Connect, query: str, eof: bool) -> None:
    raw = connect() if eof else connect(BASIC | DEPRECATE_EOF)
    prepared = raw.prepare(query)
    assert not isinstance(prepared, Failure)
    assert _open_cursor(raw, prepared[0], 200) & (CURSOR_EXISTS | LAST_ROW_SENT) == CURSOR_EXISTS
    # Other statements may come between, as on one server.
    assert rows_of(raw.query("SELECT COUNT(*) FROM t_order WHERE order_id > 200")) == [[b"40"]]
    pieces = [_fetch(raw, prepared[0], 20) for _ in range(3)]
    assert [len(piece.rows) for piece in pieces] == [20, 20, 0]
    assert [piece.status & (CURSOR_EXISTS | LAST_ROW_SENT) for piece in pieces] == [
        CURSOR_EXISTS,
        CURSOR_EXISTS,
        LAST_ROW_SENT,
    ]
    raw.command(COM_STMT_FETCH, struct.pack("<II", prepared[0], 1))
    assert isinstance(raw.read_reply(), Failure)
    assert _open_cursor(raw, prepared[0], 200) & CURSOR_EXISTS
    raw.command(COM_STMT_CLOSE, struct.pack("<I", prepared[0]))
    assert isinstance(raw.ping(), Ok)


def _open_cursor(raw: RawClient, statement_id: int, parameter: bytes | int) -> int:
    """Executes with a read-only cursor; returns the status behind the column definitions."""
    raw.command(COM_STMT_EXECUTE, execute_payload(statement_id, [parameter], flags=1))
    count, _ = read_lenenc(raw.receive(), 0)
    for _ in range(count or 0):
        raw.receive()
    _warnings, status = struct.unpack_from("<HH", raw.receive(), 1)
    return int(status)


def test_fetch_without_a_cursor_is_an_error(raw: RawClient) -> None:
    raw.command(COM_STMT_FETCH, struct.pack("<II", 4711, 1))
    reply = raw.read_reply()
    assert isinstance(reply, Failure)
    assert isinstance(raw.ping(), Ok)


def test_long_data_comes_in_pieces(raw: RawClient, fresh_shop: Shop) -> None:
    prepared = raw.prepare("INSERT INTO t_types (id, data, body) VALUES (?, ?, ?)")
    assert not isinstance(prepared, Failure)
    for piece in (b"one ", b"two ", b"\x00three"):
        raw.command(COM_STMT_SEND_LONG_DATA, struct.pack("<IH", prepared[0], 1) + piece)
    raw.command(
        COM_STMT_EXECUTE, execute_payload(prepared[0], [6001, None, b"body"], long_data=frozenset({1}))
    )
    assert isinstance(raw.read_reply(), Ok)
    assert rows_of(raw.query("SELECT data, body FROM t_types WHERE id = 6001")) == [
        [b"one two \x00three", b"body"]
    ]
    # Long data is used once: the next EXECUTE with a value of its own takes that.
    raw.command(COM_STMT_EXECUTE, execute_payload(prepared[0], [6002, b"short", None]))
    assert isinstance(raw.read_reply(), Ok)
    assert rows_of(raw.query("SELECT data, body FROM t_types WHERE id = 6002")) == [[b"short", None]]


@pytest.mark.parametrize(
    ("value", "found"),
    [(12, 1), (b"12", 1), (b"12.0", 1), (b"12x", None), (None, 0), (2**62, 0)],
)
def test_a_sharding_key_routes_alike_however_it_is_bound(
    connect: Connect, shop: Shop, value: bytes | int | None, found: int | None
) -> None:
    raw = connect()
    prepared = raw.prepare("SELECT order_id FROM t_order WHERE order_id = ?")
    assert not isinstance(prepared, Failure)
    reply = raw.execute(prepared[0], [value])
    if found is None:  # MySQL reads '12x' as 12 with a warning; refusing is allowed, another row is not
        assert isinstance(reply, Failure) or len(reply.rows) <= 1  # type: ignore[union-attr]
        return
    assert isinstance(reply, ResultSet), reply
    assert len(reply.rows) == found


def test_query_attributes_are_read_over(connect: Connect, shop: Shop) -> None:
    raw = connect(BASIC | QUERY_ATTRIBUTES)
    if not raw.server_capabilities & QUERY_ATTRIBUTES:
        pytest.skip("this server does not speak query attributes")
    name, value = b"\x05trace", b"\x03abc"
    payload = b"\x01\x01\x00\x01\xfd\x00" + name + value + b"SELECT order_id FROM t_order WHERE order_id = 9"
    raw.command(COM_QUERY, payload)
    assert rows_of(raw.read_reply()) == [[b"9"]]
    assert rows_of(raw.query("SELECT 2")) == [[b"2"]]


def test_connect_attributes_are_accepted(connect: Connect) -> None:
    raw = connect(BASIC | CONNECT_ATTRS, attributes={"_client_name": "raw", "program_name": "x" * 300})
    assert isinstance(raw.ping(), Ok)


def _tracked(target: Target) -> list[set[tuple[bytes, ...]]]:
    """What the OK packets of a tracking client's session tell, one after another."""
    with RawClient(target.host, target.port, BASIC | SESSION_TRACK) as raw:
        told = [session_changes(raw.log_in(target.user, target.password))]
        statements = (
            "USE shop",
            "SET autocommit = 0",
            "SET autocommit = 0",
            "SET autocommit = 1, time_zone = '+02:00'",
            "SET NAMES latin1",
            "SET NAMES utf8 COLLATE utf8_bin",
            "SET character_set_results = NULL",
            "SET time_zone = DEFAULT",
            "SET @x = 1",
            "SET sort_buffer_size = 65536",
            "BEGIN",
            "UPDATE t_user SET balance = 0 WHERE user_id = -1",
            "COMMIT",
        )
        told += [session_changes(raw.query(statement)) for statement in statements]
        raw.command(COM_INIT_DB, b"shop")
        told.append(session_changes(raw.read_reply()))
        raw.command(COM_RESET_CONNECTION)
        told.append(session_changes(raw.read_reply()))
        told.append(session_changes(raw.change_user(target.user, target.password, "shop")))
    return told


def test_session_track_tells_what_one_server_tells(shop: Shop) -> None:
    told = _tracked(shop.target)
    assert told == _tracked(shop.plain)
    assert told[1:3] == [{(b"schema", b"shop")}, {(b"autocommit", b"OFF")}]


def test_who_did_not_ask_is_not_told(connect: Connect) -> None:
    reply = connect().query("SET autocommit = 0")
    assert isinstance(reply, Ok)
    assert not reply.status & SESSION_STATE_CHANGED
    assert reply.rest == b""


@pytest.mark.parametrize("size", [0xFFFFFF - 40, 0xFFFFFF - 8, 0xFFFFFF, 0xFFFFFF + 1, 20_000_000])
def test_packets_over_16_megabytes_pass_both_ways(connect: Connect, size: int) -> None:
    raw = connect(BASIC | PS_MULTI_RESULTS)
    reply = raw.query(b"SELECT '" + b"x" * size + b"' FROM t_user WHERE user_id = 1")
    rows = rows_of(reply)
    assert rows[0][0] == b"x" * size


def test_a_packet_over_the_limit_is_refused_in_words(connect: Connect, shop: Shop) -> None:
    if not shop.meshed:
        pytest.skip("one server closes")
    raw = connect()
    with contextlib.suppress(ConnectionError):
        raw.command(COM_QUERY, b"SELECT '" + b"x" * (70 << 20) + b"'")
        raw.sequence = -1  # the error overtakes what is still being sent: its number cannot be foretold
        reply = raw.read_reply()
        assert isinstance(reply, Failure)
        assert reply.number == 1153
    assert isinstance(connect().ping(), Ok)


def test_process_kill_ends_another_session(connect: Connect, target: Target) -> None:
    raw, victim = connect(), connect()
    assert isinstance(victim.ping(), Ok)
    raw.command(COM_PROCESS_KILL, struct.pack("<I", victim.thread_id))
    assert isinstance(raw.read_reply(), Ok)

    def ask_until_gone() -> None:
        for _ in range(200):
            victim.ping()

    with pytest.raises((ConnectionError, BrokenPipeError)):
        ask_until_gone()
    raw.command(COM_PROCESS_KILL, struct.pack("<I", 987_654))
    reply = raw.read_reply()
    assert isinstance(reply, Failure)
    assert reply.number == 1094


def test_pipelined_commands_are_answered_in_order(raw: RawClient) -> None:
    def packet(text: bytes) -> bytes:
        return struct.pack("<I", len(text) + 1)[:3] + b"\x00" + b"\x03" + text

    raw.send_raw(
        b"".join(packet(f"SELECT order_id FROM t_order WHERE order_id = {n}".encode()) for n in range(1, 21))
    )
    for number in range(1, 21):
        raw.sequence = 1
        assert rows_of(raw.read_reply()) == [[str(number).encode()]]


def test_bytes_that_arrive_one_by_one_make_a_command(raw: RawClient) -> None:
    text = b"\x03SELECT 42"
    for byte in struct.pack("<I", len(text))[:3] + b"\x00" + text:
        raw.send_raw(bytes([byte]))
    raw.sequence = 1
    assert rows_of(raw.read_reply()) == [[b"42"]]


def test_invalid_utf8_is_an_error_or_passes_unharmed(raw: RawClient) -> None:
    reply = raw.query(b"SELECT '\xff\xfe\xc3('")
    assert isinstance(reply, Failure | ResultSet)
    assert rows_of(raw.query("SELECT 'after'")) == [[b"after"]]


@pytest.mark.parametrize(
    ("statement", "affected", "info"),
    [
        (
            "UPDATE t_user SET name = 'user 05' WHERE user_id = 5",
            0,
            b"Rows matched: 1  Changed: 0  Warnings: 0",
        ),
        ("UPDATE t_user SET born = '1999-09-09' WHERE user_id IN (1, 5)", 2, b"Rows matched: 2  Changed: 2"),
        ("UPDATE t_order SET note = 'all' WHERE order_id <= 8", 8, b"Rows matched: 8  Changed: 8"),
        ("INSERT INTO t_auto VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)", 3, b"Records: 3  Duplicates: 0"),
        ("DELETE FROM t_order_item WHERE order_id = -1", 0, b""),
    ],
)
def test_an_ok_packet_counts_and_tells(
    raw: RawClient, fresh_shop: Shop, statement: str, affected: int, info: bytes
) -> None:
    reply = raw.query(statement)
    assert isinstance(reply, Ok)
    assert reply.affected == affected
    assert info in reply.rest
    assert reply.status & 0x0002, "autocommit"
