"""AUTO_INCREMENT numbers rows as one server does, and gives nothing away that it does not have."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dbmesh.rules.keygen.auto_increment import AutoIncrement, KeysNeeded


@pytest.mark.parametrize(
    ("given", "keys", "following"),
    [
        ((None, None, None), [1, 2, 3], 4),
        ((None, "5", None), [1, None, 6], 7),
        ((7, None), [None, 8], 9),
        (("'9'", None), [None, 10], 11),
        ((-3, None), [None, 1], 2),
        (("x'01'", "", "1.5", None), [None, None, None, 1], 2),
        (((1 << 64) - 1, None), [None, 1], 2),
    ],
)
def test_rows_are_numbered_in_order(
    given: Sequence[object], keys: Sequence[int | None], following: int
) -> None:
    generator = AutoIncrement("t", 1, 100)
    assert generator.number(given) == keys
    assert generator.next == following


def test_a_lease_that_is_too_short_gives_nothing_away() -> None:
    generator = AutoIncrement("t", 5, 7)
    with pytest.raises(KeysNeeded) as needed:
        generator.number((None, None, None))
    assert needed.value.end == 8
    assert generator.next == 5
    generator.lease(5, 9)
    assert generator.number((None, None, None)) == [5, 6, 7]
    assert generator.next_key() == 8


def test_a_given_number_beyond_the_lease_asks_for_one_behind_it() -> None:
    with pytest.raises(KeysNeeded) as needed:
        AutoIncrement("t", 1, 10).number((1000,))
    assert needed.value.end == 1001


def test_a_number_that_the_column_does_not_take_moves_nothing() -> None:
    """Its row is refused, and the rows after it need not be."""
    generator = AutoIncrement("t", 1, 1000)
    assert generator.number((128, None), most=127) == [None, 1]
    assert generator.number((127, None), most=127) == [None, 128]
