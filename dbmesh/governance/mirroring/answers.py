"""What is kept of an answer to compare it with another one: how it ended, and a hash of its rows.

Decides what counts as a difference. Reads the packets that a client gets; keeps no row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

from dbmesh.wire.constants import Capability
from dbmesh.wire.progress import ANSWER_END, NEED_DATA, RESULT_END
from dbmesh.wire.response import QUERY, ResponseReader

MOST_BYTES = 1 << 20
"""Bytes of rows that are looked at; of larger answers only the number of rows is compared."""

_WORDS = re.compile(r"`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|[()]|[\w$]+", re.ASCII)
_HASHES = 1 << 64


@dataclass(frozen=True, slots=True)
class Answer:
    """How a statement was answered: with an `error` (its number, 0 for none), with `rows` (None without a result set), or with
    `affected` rows. `any_order` and `in_order` are hashes of the rows, None where there were too many bytes."""

    error: int = 0
    affected: int = 0
    rows: int | None = None
    any_order: int | None = None
    in_order: bytes | None = None


def differences(own: Answer, mirrored: Answer, *, ordered: bool) -> tuple[str, ...]:
    """What differs, in words; nothing for the same answer. The order of rows matters where it was asked for."""
    if bool(own.error) != bool(mirrored.error):
        return ("status",)
    if own.error != mirrored.error:
        return ("error",)
    if own.error:
        return ()
    if (own.rows is None) != (mirrored.rows is None):
        return ("status",)
    if own.rows != mirrored.rows:
        return ("row count",)
    if own.rows is None:
        return ("affected rows",) if own.affected != mirrored.affected else ()
    if None in (own.any_order, mirrored.any_order):
        return ()
    if own.any_order != mirrored.any_order:
        return ("rows",)
    return ("order",) if ordered and own.in_order != mirrored.in_order else ()


def is_ordered(text: str) -> bool:
    """Whether a statement asks for its rows in an order: ORDER BY outside brackets. O(text)."""
    depth = 0
    for found in _WORDS.finditer(text):
        word = found[0].upper()
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0 and word == "ORDER":
            return True
    return False


class AnswerReader:
    """Reads one answer as it is written to a client with these capabilities. `answer` is there when it has ended, unless it had
    several results."""

    def __init__(self, capabilities: int) -> None:
        self._reader = ResponseReader(
            deprecate_eof=bool(capabilities & Capability.DEPRECATE_EOF),
            session_track=bool(capabilities & Capability.SESSION_TRACK),
        )
        self._reader.start(QUERY, split=True)
        self._has_rows = self._several = False
        self._bytes = 0
        self._any_order = 0
        self._in_order = blake2b(digest_size=8)
        self.answer: Answer | None = None

    def feed(self, data: bytes) -> None:
        """Bytes that were written. Raises ProtocolError for what is no answer."""
        if self._several or self.answer is not None:
            return
        reader = self._reader
        progress = reader.feed(bytes(data))
        self._has_rows = self._has_rows or bool(reader.header)
        self._add(reader.packets)
        if progress is NEED_DATA:
            return
        if progress is RESULT_END or progress is not ANSWER_END:
            self._several = True
            return
        self.answer = self._read()

    def _add(self, rows: list[bytes]) -> None:
        for row in rows:
            self._bytes += len(row)
            if self._bytes > MOST_BYTES:
                return
            digest = blake2b(row, digest_size=8).digest()
            self._any_order = (self._any_order + int.from_bytes(digest, "big")) % _HASHES
            self._in_order.update(digest)

    def _read(self) -> Answer:
        reader = self._reader
        if reader.failed:
            return Answer(error=reader.error().number)
        if not self._has_rows:
            return Answer(affected=reader.ok().affected_rows)
        if self._bytes > MOST_BYTES:
            return Answer(rows=reader.row_count)
        return Answer(0, 0, reader.row_count, self._any_order, self._in_order.digest())
