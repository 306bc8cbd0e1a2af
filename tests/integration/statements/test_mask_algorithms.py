"""Each mask, as SQL on a real server, is what its algorithm makes of a text.

What that is, `tests.plugins.mask_reference` says a second time, character by character.
"""

from __future__ import annotations

from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.rules.algorithms.properties import PropertyReader
from dbmesh.rules.masks.registry import MASKS
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop
from tests.plugins.mask_reference import reference

# Each value once empty, too short, with and without the special characters, beyond ASCII.
_VALUES = (
    "",
    "a",
    "ab",
    "abc",
    "abcd",
    "abcdefgh",
    "13800138000",
    "a@b",
    "@",
    "x@@y",
    "Ärger@Öl",
    "日本語テスト",
    "AbC dEf 12",
    "a'b\"c\\d",
    "   ",
)
_VARIANTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("MD5", {}),
    ("MD5", {"salt": "sa'lt\\"}),
    *(
        (kind, {"first-n": n, "last-m": m, "replace-char": mark})
        for kind in ("KEEP_FIRST_N_LAST_M", "MASK_FIRST_N_LAST_M")
        for n, m, mark in (("1", "1", "*"), ("3", "4", "#"), ("2", "9", "'"), ("9", "1", "?"))
    ),
    *(
        (kind, {"from-x": x, "to-y": y, "replace-char": mark})
        for kind in ("KEEP_FROM_X_TO_Y", "MASK_FROM_X_TO_Y")
        for x, y, mark in (("1", "1", "*"), ("1", "2", "\\"), ("3", "6", "#"), ("2", "40", "*"))
    ),
    *(
        (kind, {"special-chars": special, "replace-char": "*"})
        for kind in ("MASK_BEFORE_SPECIAL_CHARS", "MASK_AFTER_SPECIAL_CHARS")
        for special in ("@", "@@", "b", "C", "'", "ö")
    ),
)
_TEXT = ColumnSchema("v", "varchar(40)", ColumnFamily.TEXT, collation="utf8mb4_general_ci")
_NUMBER = ColumnSchema("n", "int", ColumnFamily.INTEGER)


def test_each_mask_is_what_its_algorithm_makes_of_a_text(shop: Shop) -> None:
    with shop.plain.connect() as connection:
        ask(connection, "CREATE TEMPORARY TABLE shop.mv (v VARCHAR(40) CHARACTER SET utf8mb4, n INT)")
        for value in _VALUES:
            ask(connection, "INSERT INTO shop.mv VALUES (%s, %s)", (value, len(value) * 12345 - 7))
        # MySQL has MD5() in a component from 9.6 on.
        has_md5 = ask(connection, "SELECT MD5('')").error is None
        for kind, props in _VARIANTS if has_md5 else _VARIANTS[2:]:
            algorithm, expected = MASKS[kind].create(PropertyReader(props)), reference(kind, props)
            text, number = algorithm.expression("v", _TEXT), algorithm.expression("n", _NUMBER)
            found = ask(connection, f"SELECT v, {text}, n, {number} FROM shop.mv")
            assert found.error is None, found.text
            assert found.warnings == 0
            for value, shown, count, counted in found.rows:
                assert shown == expected(value), (kind, props, value)
                assert counted == expected(str(count)), (kind, props, count)
        null = [
            algorithm.create(PropertyReader(_props(name))).expression("NULL", _TEXT)
            for name, algorithm in MASKS.items()
            if has_md5 or name != "MD5"
        ]
        assert ask(connection, f"SELECT {', '.join(null)}").rows == ((None,) * len(null),)


def _props(kind: str) -> dict[str, str]:
    """Properties of any mask."""
    if kind == "TELEPHONE_RANDOM_REPLACE":
        return {"network-numbers": "138, 13, 9"}
    return next((props for name, props in _VARIANTS if name == kind), {})


def test_random_masks_keep_the_form_and_nothing_else(shop: Shop) -> None:
    generic = MASKS["GENERIC_TABLE_RANDOM_REPLACE"].create(
        PropertyReader({"special-codes": "~,!", "digital-codes": "3,4"})
    )
    telephone = MASKS["TELEPHONE_RANDOM_REPLACE"].create(PropertyReader(_props("TELEPHONE_RANDOM_REPLACE")))
    long = "Xy9-" * 40
    with shop.plain.connect() as connection:
        ask(connection, "CREATE TEMPORARY TABLE shop.mr (v VARCHAR(200) CHARACTER SET utf8mb4)")
        for value in ("13800138000", "13100138000", "900", "777", "AbC dEf Ä9", long):
            ask(connection, "INSERT INTO shop.mr VALUES (%s)", (value,))
        found = ask(
            connection,
            f"SELECT v, {generic.expression('v', _TEXT)}, {telephone.expression('v', _TEXT)} FROM shop.mr",
        )
        assert (found.error, found.warnings) == (None, 0), found.text
        for value, shown, called in found.rows:
            assert len(shown) == len(value) == len(called)
            for before, after in zip(value[:64], shown, strict=False):
                kinds = (("34", before.isdigit()), ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "A" <= before <= "Z"))
                codes = next((codes for codes, holds in kinds if holds), "abcdefghijklmnopqrstuvwxyz")
                assert after in (codes if before.isascii() and before.isalnum() else "~!")
            begins = next((number for number in ("138", "13", "9") if value.startswith(number)), None)
            assert called == value if begins is None else called.startswith(begins) and called.isdigit()
        assert (
            len(
                {
                    ask(connection, f"SELECT {generic.expression('v', _TEXT)} FROM shop.mr").rows
                    for _ in range(3)
                }
            )
            > 1
        )
