"""Rows whose ciphers become values, and columns as one server holding plain text tells them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.merge.decryption import RowDecryption, like_matcher
from dbmesh.planner.encrypted.decryption import DecryptedColumn, Decryption, TextCheck
from dbmesh.rules.encryption.aes import Aes, ecb_key
from dbmesh.rules.encryption.keys import Key, KeyRing
from dbmesh.rules.encryption.logic_type import read_type
from dbmesh.rules.encryption.rule import EncryptedColumn, StoredColumn
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import decode_text_row, encode_text_row

AES = Aes(KeyRing((Key("", ecb_key("test", "SHA-1")),)))
STORED = ColumnDefinition(
    b"def", b"s", b"t", b"t_0", b"c", b"c_cipher", 45, 400, ColumnType.VAR_STRING, 0x1080, 0
)


def decryption(declared: str, check: str | None = None, character_set: int = 45) -> RowDecryption:
    kind = read_type(declared)
    assert kind is not None
    column = EncryptedColumn("c", kind, StoredColumn("c_cipher", AES, "aes"))
    columns = [DecryptedColumn(1, column, 8)]
    checks = [] if check is None else [TextCheck(1, check)]
    made = RowDecryption(Decryption(columns, checks))
    made.columns([STORED, STORED.__class__(*_with(character_set))])
    return made


def _with(character_set: int) -> tuple[object, ...]:
    fields = [getattr(STORED, name) for name in STORED.__dataclass_fields__]
    fields[6] = character_set
    return tuple(fields)


def row(*values: str | None) -> bytes:
    return encode_text_row([None if value is None else value.encode() for value in values])


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("VARCHAR(20)", (ColumnType.VAR_STRING, 80, 0x1088, 45, 0)),
        ("TEXT", (ColumnType.BLOB, 262_140, 0x1098, 45, 0)),
        ("INT", (ColumnType.LONG, 11, 0x1008, 63, 0)),
        ("BIGINT UNSIGNED", (ColumnType.LONGLONG, 20, 0x1028, 63, 0)),
        ("DECIMAL(12,2)", (ColumnType.NEWDECIMAL, 14, 0x1008, 63, 2)),
        ("DATE", (ColumnType.DATE, 10, 0x1088, 63, 0)),
        ("DATETIME(3)", (ColumnType.DATETIME, 23, 0x1088, 63, 3)),
    ],
)
def test_definitions(declared: str, expected: tuple[int, ...]) -> None:
    made = decryption(declared)
    first, told = made.columns([STORED, STORED])
    assert first is STORED
    assert (told.name, told.org_name) == (b"c", b"c")
    assert (told.type, told.length, told.flags, told.character_set, told.decimals) == expected


@given(st.text().filter(lambda text: text.isprintable()))
def test_values_are_decrypted_and_the_rest_stays(text: str) -> None:
    made = decryption("VARCHAR(9)").rows([row("a", AES.encrypt(text, b"")), row(None, None)])
    assert [decode_text_row(one) for one in made] == [[b"a", text.encode()], [None, None]]


def test_clients_of_other_character_sets() -> None:
    stored = [row("a", AES.encrypt("ä日🎉", b""))]
    assert decode_text_row(decryption("VARCHAR(9)", character_set=8).rows(stored)[0])[1] == b"\xe4??"
    assert decode_text_row(decryption("VARCHAR(9)", character_set=33).rows(stored)[0])[1] == "ä日?".encode()
    assert decode_text_row(decryption("VARCHAR(9)", character_set=63).rows(stored)[0])[1] == "ä日🎉".encode()


@pytest.mark.parametrize(("declared", "stored"), [("VARCHAR(9)", "x"), ("INT", AES.encrypt("five", b""))])
def test_what_is_no_value_is_an_error_without_it(declared: str, stored: str) -> None:
    with pytest.raises(MeshError) as found:
        decryption(declared).rows([row("a", stored)])
    assert found.value.number == 1105
    assert stored not in str(found.value)


def test_rows_that_a_digest_found_by_mistake_are_left_out() -> None:
    made = decryption("VARCHAR(9)", "A%").rows(
        [row("1", AES.encrypt("Ada", b"")), row("2", AES.encrypt("Bda", b"")), row("3", None)]
    )
    assert [decode_text_row(one)[0] for one in made] == [b"1"]


@given(
    pattern=st.text(alphabet="ab%_\\", max_size=8),
    text=st.text(alphabet="ab%_\\\n", max_size=8),
)
def test_like_is_that_of_a_binary_collation(pattern: str, text: str) -> None:
    written = re.sub(
        r"\\(.)|\\$|([%_])|(.)",
        lambda found: (
            re.escape(found[1])
            if found[1]
            else {"%": ".*", "_": "."}[found[2]]
            if found[2]
            else re.escape(found[0])
        ),
        pattern,
        flags=re.DOTALL,
    )
    assert like_matcher(pattern)(text) == (re.fullmatch(written, text, re.DOTALL) is not None)
