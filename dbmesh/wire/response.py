"""The answers of a data source, walked without being decoded. The hot path of the mesh.

Decides where the parts of an answer begin and end: header block, rows, terminal packet. Refuses to know what a row
says, and who wants it. One `ResponseReader` lives as long as its connection:

    reader = ResponseReader(deprecate_eof=True, session_track=True)
    reader.start(QUERY)                              # before the command is sent
    progress = reader.feed(chunk)                    # for each chunk that arrives
    while True:
        if reader.header:                            # the whole block: column count, definitions [, EOF]
            write(renamed(reader.header))            # a cache keyed by the raw block
        if reader.rows:                              # raw packets, maybe cut anywhere: forward them as they are
            write(reader.rows)
        if progress is NEED_DATA:                    # the chunk is used up, the answer goes on
            break
        write(reader.terminal)                       # raw packet: OK, ERR or EOF
        if progress is ANSWER_END:                   # reader.status, .failed, .row_count, .ok(), .error();
            break                                    # reader.rest: bytes of the next, pipelined answer
        progress = reader.resume()                   # RESULT_END: MORE_RESULTS was set, the next result follows

Each call of `feed` or `resume` replaces what `header`, `rows`, `packets` and `terminal` hold.

* With `start(kind, split=True)` rows appear not in `rows` but in `packets`, a list of whole row payloads without
  packet headers; `frames.frame_rows` makes packets of them again.
* PREPARE's good answer is one `header` block with PrepareOk and all definitions, and an empty `terminal`
  (`blocks.parse_prepare_answer` reads it). FIELD_LIST's definitions are its `header`. FETCH has none.
* An ERR in place of a definition leaves `header` empty: its sequence id is then not the one the client expects.
* Where EXECUTE only opens a cursor, the packet behind the definitions is the terminal in either EOF form.

What makes the walk exact (manual, "Text Resultset", "Binary Protocol Resultset", "Sending More Than 16Mb"):
* A packet of 0xFFFFFF bytes is continued by the next one, whose first byte means nothing.
* No row begins with 0xFF. A row that begins with 0xFE holds a value of 16 MB or more, so its first packet has
  0xFFFFFF bytes; a shorter packet that begins with 0xFE ends the rows.
* Within 0xFFFFFF bytes no packet of that length can end, so a loop bounded to so many bytes need not look for one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from dbmesh.errors import ProtocolError
from dbmesh.wire.constants import MAX_PAYLOAD, Capability, ResponseKind, Status
from dbmesh.wire.packets import EOF, ERR, OK, ErrPacket, OkPacket, parse_eof, parse_err, parse_ok
from dbmesh.wire.primitives import unpack_lenenc_int
from dbmesh.wire.progress import ANSWER_END, LOCAL_INFILE, NEED_DATA, RESULT_END, Progress
from dbmesh.wire.row_walk import RowWalk, word_and_first

QUERY: Final = ResponseKind.QUERY
PREPARE: Final = ResponseKind.PREPARE
FETCH: Final = ResponseKind.FETCH
SIMPLE: Final = ResponseKind.SIMPLE
FIELD_LIST: Final = ResponseKind.FIELD_LIST
STATISTICS: Final = ResponseKind.STATISTICS


_MORE_RESULTS: Final = Status.MORE_RESULTS_EXISTS.value
_CURSOR_EXISTS: Final = Status.CURSOR_EXISTS.value
_EOF_PACKET: Final = 9
_SHORTEST_OK: Final = 11

_RECENT_HEADERS: Final = 8
"""Header blocks a reader remembers to find again: a few statements take turns on most connections."""
_two_words = struct.Struct("<HH").unpack_from


class ResponseReader(RowWalk):
    """See the module's docstring. `deprecate_eof` and `session_track` are what the handshake agreed on.

    Attributes: `status` of the last OK or EOF packet; `failed`: the terminal is an ERR; `row_count` of the current
    result so far; `rest`: bytes behind the answer. Every method raises ProtocolError when the server breaks the
    protocol; the connection is then unusable.

    `warnings`: what the last OK or EOF packet tells of them; 0 after an ERR.
    """

    __slots__ = (
        "_capabilities",
        "_deprecate_eof",
        "_eof_due",
        "_later_definitions",
        "_left",
        "_read_rows",
        "_recent_headers",
        "_split",
        "_state",
        "_walked",
        "failed",
        "header",
        "rest",
        "status",
        "terminal",
        "warnings",
    )

    def __init__(self, *, deprecate_eof: bool, session_track: bool) -> None:
        self._deprecate_eof = deprecate_eof
        self._capabilities = Capability.SESSION_TRACK.value if session_track else 0
        self._recent_headers: list[bytes] = []
        self._split = False
        self._state: _State = ResponseReader._idle
        self._read_rows: _State = ResponseReader._relay_rows
        self._pieces: list[bytes] = []
        self._torn: list[bytes] = []
        self._held = self._need = self._skip = self._walked = self._left = self._later_definitions = 0
        self._continued = self._eof_due = False
        self._continuations = 0
        self.header = self.rows = self.terminal = self.rest = b""
        self.packets: list[bytes] = []
        self.failed = False
        self.row_count = self.warnings = 0
        self.status = Status.AUTOCOMMIT.value

    # ------------------------------------------------------------------------------------------ for the caller

    def start(self, kind: ResponseKind, split: bool = False) -> None:
        """Expect the answer of one command. `rest` is left alone: with pipelining, feed it after this call."""
        self.failed = False
        self.row_count = self._continuations = self._walked = 0
        if split is not self._split:
            self._split = split
            self._read_rows = ResponseReader._split_rows if split else ResponseReader._relay_rows
        self._state = self._read_rows if kind is FETCH else _STATES[kind]

    def feed(self, chunk: bytes) -> Progress:
        """Take the next bytes of the stream, as far as the next end of a result."""
        self.header = self.rows = self.terminal = b""
        if self._split:
            self.packets = []
        if self._held:
            self._pieces.append(chunk)
            self._held += len(chunk)
            if self._held < self._need:
                return NEED_DATA
            chunk = b"".join(self._pieces)
            self._pieces = []
            self._held = 0
        return self._state(self, chunk, 0)

    def resume(self) -> Progress:
        """Go on after RESULT_END with the bytes already here."""
        self.row_count = self._continuations = 0
        rest = self.rest
        self.rest = b""
        return self.feed(rest)

    def take_rest(self) -> bytes:
        """The bytes behind the answer, which are forgotten here."""
        rest = self.rest
        self.rest = b""
        return rest

    def ok(self) -> OkPacket:
        """The terminal as an OK packet; an EOF packet tells status and warnings only. Not for ERR."""
        payload = self.terminal[4:]
        if len(payload) == 5:
            eof = parse_eof(payload)
            return OkPacket(0, 0, eof.status, eof.warnings)
        return parse_ok(payload, self._capabilities)

    @property
    def row_packets(self) -> int | None:
        """Packets of rows handed out of the current result; None while half a packet has been."""
        if self._skip or self._continued:
            return None
        return self.row_count + self._continuations

    def error(self) -> ErrPacket:
        """The terminal as an ERR packet, when `failed`."""
        return parse_err(self.terminal[4:])

    # ------------------------------------------------------------------------------------------ waiting

    def _packet_end(self, chunk: bytes, position: int) -> int:
        """End of the whole packet at `position`, or 0 after holding what is there of it."""
        have = len(chunk) - position
        if have < 5:
            self._hold(chunk, position, 5)
            return 0
        word, _ = word_and_first(chunk, position)
        length: int = word & MAX_PAYLOAD
        if length == 0 or length == MAX_PAYLOAD:
            raise ProtocolError(f"a packet of {length} bytes where one small packet was due")
        if have < 4 + length:
            self._hold(chunk, position, 4 + length)
            return 0
        return position + 4 + length

    # ------------------------------------------------------------------------------------------ states

    def _idle(self, chunk: bytes, position: int) -> Progress:
        if chunk:
            raise ProtocolError("the server sent bytes nobody asked for")
        return NEED_DATA

    def _read_first(self, chunk: bytes, position: int) -> Progress:
        for block in self._recent_headers:
            # A block ends itself, so a chunk that begins with these very bytes has this very header: comparing
            # replaces the walk.
            if chunk.startswith(block, position):
                self.header = block
                self._state = self._read_rows
                return self._read_rows(self, chunk, position + len(block))
        end = self._packet_end(chunk, position)
        if not end:
            return NEED_DATA
        first = chunk[position + 4]
        if first in (OK, ERR):
            return self._read_terminal(chunk, position)
        if first == 0xFB:
            self.terminal = chunk[position:end]
            self._state = _IDLE
            self.rest = chunk[end:]
            return LOCAL_INFILE
        self._left, after = unpack_lenenc_int(chunk, position + 4)
        if after != end:
            raise ProtocolError("a column count with something behind it")
        self._walked = end - position
        self._state = ResponseReader._read_header
        return self._read_header(chunk, position)

    def _read_header(self, chunk: bytes, position: int) -> Progress:
        """The definitions of a result set; the block begins at `position`."""
        at = self._pass_definitions(chunk, position + self._walked)
        if self._left:
            return self._unfinished_block(chunk, position, at)
        if not self._deprecate_eof:
            self._walked = at - position
            if len(chunk) < at + _EOF_PACKET:
                return self._hold(chunk, position, self._walked + _EOF_PACKET)
            if chunk[at + 4] == ERR:
                return self._read_terminal(chunk, at)
            if self._eof_status(chunk, at) & _CURSOR_EXISTS:
                self.header = chunk[position:at]
                return self._read_terminal(chunk, at)
            at += _EOF_PACKET
        self.header = block = chunk[position:at]
        self._recent_headers.insert(0, block)
        del self._recent_headers[_RECENT_HEADERS:]
        self._state = self._read_rows
        return self._read_rows(self, chunk, at)

    def _read_prepare(self, chunk: bytes, position: int) -> Progress:
        """PrepareOk, parameter definitions, column definitions; each group that is not empty has its EOF."""
        if not self._walked:
            end = self._packet_end(chunk, position)
            if not end:
                return NEED_DATA
            if chunk[position + 4] == ERR:
                return self._read_terminal(chunk, position)
            if chunk[position + 4] != OK or end - position < 16:
                raise ProtocolError("not the answer of COM_STMT_PREPARE")
            self._later_definitions = chunk[position + 9] | chunk[position + 10] << 8
            self._left = chunk[position + 11] | chunk[position + 12] << 8
            self._eof_due = self._left > 0 and not self._deprecate_eof
            self._walked = end - position
        at = position + self._walked
        while True:
            at = self._pass_definitions(chunk, at)
            if self._left:
                return self._unfinished_block(chunk, position, at)
            if self._eof_due:
                self._walked = at - position
                if len(chunk) < at + _EOF_PACKET:
                    return self._hold(chunk, position, self._walked + _EOF_PACKET)
                self._eof_status(chunk, at)
                at += _EOF_PACKET
            self._left = self._later_definitions
            self._later_definitions = 0
            self._eof_due = self._left > 0 and not self._deprecate_eof
            if not self._left:
                break
        self.header = chunk[position:at]
        return self._finish(chunk, at)

    def _read_field_list(self, chunk: bytes, position: int) -> Progress:
        """Definitions up to an EOF; their number is not announced."""
        self._left = 1 << 32
        at = self._pass_definitions(chunk, position + self._walked)
        if len(chunk) >= at + 5 and chunk[at + 4] == EOF:
            end = self._packet_end(chunk, at)
            if end:
                self.header = chunk[position:at]
                return self._read_terminal(chunk, at)
            self._walked = at - position
            return self._hold(chunk, position, self._walked + self._need)
        return self._unfinished_block(chunk, position, at)

    def _read_string(self, chunk: bytes, position: int) -> Progress:
        end = self._packet_end(chunk, position)
        if not end:
            return NEED_DATA
        self.terminal = chunk[position:end]
        self.failed = chunk[position + 4] == ERR
        return self._finish(chunk, end)

    # ------------------------------------------------------------------------------------------ definitions

    def _pass_definitions(self, chunk: bytes, at: int) -> int:
        """Pass as many of the `_left` definitions as are whole; the position of what stopped the walk."""
        end = len(chunk)
        left = self._left
        while left and at + 5 <= end:
            word, first = word_and_first(chunk, at)
            stop = at + 4 + (word & MAX_PAYLOAD)
            if first >= 0xFB or stop > end:
                break
            at = stop
            left -= 1
        self._left = left
        return at

    def _unfinished_block(self, chunk: bytes, position: int, at: int) -> Progress:
        """A definition is missing at `at`: it is still to come, or an error came instead."""
        self._walked = at - position
        if len(chunk) < at + 5:
            return self._hold(chunk, position, self._walked + 5)
        word, first = word_and_first(chunk, at)
        if first == ERR:
            return self._read_terminal(chunk, at)
        length = word & MAX_PAYLOAD
        if first >= 0xFB or length == MAX_PAYLOAD:
            raise ProtocolError(f"0x{first:02x} begins no column definition")
        return self._hold(chunk, position, self._walked + 4 + length)

    def _eof_status(self, chunk: bytes, at: int) -> int:
        """Status of the EOF packet behind definitions."""
        word, first = word_and_first(chunk, at)
        if first != EOF or word & MAX_PAYLOAD != 5:
            raise ProtocolError("column definitions without their EOF packet")
        return chunk[at + 7] | chunk[at + 8] << 8

    # ------------------------------------------------------------------------------------------ the end

    def _end_rows(self, chunk: bytes, position: int, length: int, first: int) -> Progress:
        """The packet at `position` is no row."""
        if first == EOF and (length < 7 if self._deprecate_eof else length != 5):
            raise ProtocolError(f"a packet of {length} bytes that is neither a row nor the end of rows")
        stop = position + 4 + length
        if length and stop <= len(chunk):
            return self._take_terminal(chunk, position, stop)
        return self._read_terminal(chunk, position)

    def _read_terminal(self, chunk: bytes, position: int) -> Progress:
        end = self._packet_end(chunk, position)
        if not end:
            self._state = ResponseReader._read_terminal
            return NEED_DATA
        return self._take_terminal(chunk, position, end)

    def _take_terminal(self, chunk: bytes, position: int, end: int) -> Progress:
        """OK, ERR or EOF, whole. An EOF packet is 5 bytes long, an OK packet at least 7; status and warnings stand in
        fixed places while an OK packet's numbers are small."""
        self.terminal = terminal = chunk[position:end]
        self.rest = chunk[end:]
        first = terminal[4]
        if first == ERR:
            self.failed = True
            self.warnings = 0
            self._state = _IDLE
            return ANSWER_END
        if first != EOF and first != OK:
            raise ProtocolError(f"0x{first:02x} begins neither OK, ERR nor EOF")
        length = len(terminal)
        if length == _EOF_PACKET:
            self.warnings, status = _two_words(terminal, 5)
        elif length >= _SHORTEST_OK and terminal[5] < 0xFB and terminal[6] < 0xFB:
            status, self.warnings = _two_words(terminal, 7)
        else:
            ok = self.ok()
            status, self.warnings = ok.status, ok.warnings
        self.status = status
        if status & _MORE_RESULTS:
            self._state = ResponseReader._read_first
            self._walked = 0
            return RESULT_END
        self._state = _IDLE
        return ANSWER_END

    def _finish(self, chunk: bytes, end: int) -> Progress:
        self._state = _IDLE
        self.rest = chunk[end:]
        return ANSWER_END


_State = Callable[[ResponseReader, bytes, int], Progress]

_IDLE: Final = ResponseReader._idle
_STATES: tuple[_State, ...] = (
    ResponseReader._read_first,
    ResponseReader._read_prepare,
    ResponseReader._relay_rows,
    ResponseReader._read_terminal,
    ResponseReader._read_field_list,
    ResponseReader._read_string,
)
"""Indexed by ResponseKind."""
