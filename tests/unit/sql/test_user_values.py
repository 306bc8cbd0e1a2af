"""User variables keep their types: unsigned integers, texts of a collation, and NULLs of the type there was before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.model import UnsignedInteger
from dbmesh.sql.literals import unsigned
from dbmesh.sql.user_values import collated, null_like, plain_literal, value_of


@pytest.mark.parametrize(
    ("before", "null"),
    [
        ("NULL", "NULL"),
        ("null", "null"),
        ("5", "NULLIF(1,1)"),
        ("-5", "NULLIF(1,1)"),
        ("TRUE", "NULLIF(1,1)"),
        ("18446744073709551615", "NULLIF(CAST(1 AS UNSIGNED),CAST(1 AS UNSIGNED))"),
        (unsigned("5"), "NULLIF(CAST(1 AS UNSIGNED),CAST(1 AS UNSIGNED))"),
        ("1.5", "NULLIF(1.0,1.0)"),
        ("1e0", "NULLIF(1e0,1e0)"),
        ("'a'", "NULLIF('','')"),
        ("x'41'", "NULLIF(x'',x'')"),
        (
            collated(b"a", "utf8mb4", "utf8mb4_bin"),
            "NULLIF(_utf8mb4'' COLLATE utf8mb4_bin,_utf8mb4'' COLLATE utf8mb4_bin)",
        ),
        (collated(b"\xe9", "latin1"), "NULLIF(_latin1'',_latin1'')"),
        ("NULLIF(1.0,1.0)", "NULLIF(1.0,1.0)"),
    ],
)
def test_null_keeps_the_type_there_was(before: str, null: str) -> None:
    assert null_like(before) == null


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("'a'", "'a'"),
        (collated(b"it's COLLATE x", "latin1", "latin1_bin"), r"'it\'s COLLATE x'"),
        (collated(b"\xe9", "latin1"), "'é'"),
        (collated(b"\x00\xe9", "binary"), "x'00e9'"),
        (unsigned("7"), "7"),
        (null_like("1.5"), "NULL"),
        ("NULL", "NULL"),
    ],
)
def test_the_value_alone_is_a_literal(text: str, literal: str) -> None:
    assert plain_literal(text) == literal


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (b"it's", "_utf8mb4'it''s' COLLATE utf8mb4_bin"),
        ("é".encode(), "_utf8mb4 x'c3a9' COLLATE utf8mb4_bin"),
        (b"a\\b", "_utf8mb4 x'615c62' COLLATE utf8mb4_bin"),
    ],
)
def test_letters_that_a_session_could_read_otherwise_are_digits(value: bytes, written: str) -> None:
    assert collated(value, "utf8mb4", "utf8mb4_bin") == written


@given(st.binary())
def test_every_text_is_its_value_again(value: bytes) -> None:
    assert plain_literal(collated(value, "binary")) == f"x'{value.hex()}'"


def test_an_unsigned_variable_has_an_unsigned_value() -> None:
    assert type(value_of(unsigned("5"))) is UnsignedInteger
    assert type(value_of("5")) is int
    assert value_of("NULLIF(1,1)") is None
