"""XA statements of an outer transaction manager, read from their text (manual, "XA Transaction SQL Statements").

Decides their grammar and a transaction's name. What becomes of them is `session.statements.outer_xa`'s business.
"""

from __future__ import annotations

from collections.abc import Callable

from dbmesh.errors import WRONG_XID, MeshError, not_supported
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.session_plan import OuterXa, XaVerb
from dbmesh.sql.literals import decode_literal

LONGEST_PART = 64
"""Bytes of each of the two parts of a name."""


def read_xa(reader: LexemeReader) -> OuterXa:
    """An XA statement. Raises MeshError: PARSE_ERROR, WRONG_XID, NOT_SUPPORTED."""
    reader.expect("XA")
    for words, read in _VERBS.items():
        if reader.accept(words):
            statement = read(reader)
            reader.expect_end()
            return statement
    raise reader.error()


def _read_start(reader: LexemeReader) -> OuterXa:
    xid = _read_xid(reader)
    option = reader.accept_any("JOIN", "RESUME")
    if option is not None:
        raise not_supported(f"XA START … {option}", "end a transaction before another begins")
    return OuterXa(XaVerb.START, xid)


def _read_end(reader: LexemeReader) -> OuterXa:
    xid = _read_xid(reader)
    if reader.accept("SUSPEND"):
        raise not_supported("XA END … SUSPEND", "write XA END alone")
    return OuterXa(XaVerb.END, xid)


def _read_prepare(reader: LexemeReader) -> OuterXa:
    return OuterXa(XaVerb.PREPARE, _read_xid(reader))


def _read_commit(reader: LexemeReader) -> OuterXa:
    xid = _read_xid(reader)
    return OuterXa(XaVerb.COMMIT_ONE_PHASE if reader.accept("ONE", "PHASE") else XaVerb.COMMIT, xid)


def _read_rollback(reader: LexemeReader) -> OuterXa:
    return OuterXa(XaVerb.ROLLBACK, _read_xid(reader))


def _read_recover(reader: LexemeReader) -> OuterXa:
    converts = reader.accept("CONVERT", "XID") or (reader.accept("FORMAT", "=") and bool(reader.take()))
    return OuterXa(XaVerb.RECOVER, "", converts=converts)


def _read_xid(reader: LexemeReader) -> str:
    """`'gtrid'[, 'bqual'[, formatID]]` in the one spelling of all that mean the same."""
    parts = [_part(reader)]
    number = 1
    if reader.accept(","):
        parts.append(_part(reader))
        if reader.accept(","):
            number = reader.expect_integer()
    if not parts[0] or any(len(part) > LONGEST_PART for part in parts):
        raise MeshError(WRONG_XID)
    return xid_text(parts[0], parts[1] if len(parts) > 1 else b"", number)


def _part(reader: LexemeReader) -> bytes:
    lexeme: Lexeme = reader.take()
    if lexeme.kind not in (Kind.STRING, Kind.NUMBER):
        raise reader.error()
    value = decode_literal(lexeme.text)
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise reader.error()
    return value.encode("utf-8", "surrogateescape")


def xid_text(global_part: bytes, branch_part: bytes, number: int) -> str:
    """A name as the servers read it."""
    branch = f"X'{branch_part.hex()}'" if branch_part else "''"
    return f"X'{global_part.hex()}',{branch},{number}"


_VERBS: dict[str, Callable[[LexemeReader], OuterXa]] = {
    "START": _read_start,
    "BEGIN": _read_start,
    "END": _read_end,
    "PREPARE": _read_prepare,
    "COMMIT": _read_commit,
    "ROLLBACK": _read_rollback,
    "RECOVER": _read_recover,
}
