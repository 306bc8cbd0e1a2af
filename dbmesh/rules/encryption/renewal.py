"""What the columns that keep an encrypted value should hold, compared with what they hold.

Decides it from one row; asking again changes nothing. Pure: random bytes come in. Knows no tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dbmesh.rules.encryption.logic_type import Unstorable
from dbmesh.rules.encryption.rule import EncryptedColumn, Encryptor, Undecipherable


class Unreadable(Exception):
    """A value of a row that cannot be encrypted anew. The text names its column and never the value."""


def renewed(
    columns: Sequence[EncryptedColumn], row: Mapping[str, str | None], random: Callable[[int], bytes]
) -> dict[str, str | None]:
    """The columns of a row (name in lower case → text) that have to change, and their new values: none where all of them are made of the
    value by the newest keys. Raises Unreadable."""
    changes: dict[str, str | None] = {}
    for column in columns:
        text = _text(column, row)
        parts = _parts(column, row, text, random)
        changes.update({name: value for name, value in parts.items() if row[name.lower()] != value})
    return changes


def _text(column: EncryptedColumn, row: Mapping[str, str | None]) -> str | None:
    """The value in clear: that of the plain column while it is there."""
    stored = row[(column.name if column.plain else column.cipher.name).lower()]
    if stored is None:
        return None
    try:
        if column.plain:
            return column.type.text_of(stored)
        return column.cipher.encryptor.decrypt(stored)
    except Unstorable as wanted:
        raise Unreadable(
            f"the value of '{column.name}' does not fit its dataType, which takes {wanted}"
        ) from None
    except Undecipherable:
        raise Unreadable(
            f"the value of '{column.name}' cannot be decrypted by the keys of the rules"
        ) from None


def _parts(
    column: EncryptedColumn, row: Mapping[str, str | None], text: str | None, random: Callable[[int], bytes]
) -> dict[str, str | None]:
    if text is None:
        return dict.fromkeys(column.stored)
    held = row[column.cipher.name.lower()]
    cipher = column.cipher.encryptor
    kept = held is not None and cipher.is_newest(held) and _opens(cipher, held) == text
    made: dict[str, str | None] = {
        column.cipher.name: held if kept else cipher.encrypt(text, random(cipher.nonce_size))
    }
    if column.assisted is not None:
        made[column.assisted.name] = column.assisted.encryptor.encrypt(text, b"")
    if column.like is not None:
        made[column.like.name] = column.like.digest.digest(text)
    return made


def _opens(cipher: Encryptor, stored: str) -> str | None:
    try:
        return cipher.decrypt(stored)
    except Undecipherable:
        return None
