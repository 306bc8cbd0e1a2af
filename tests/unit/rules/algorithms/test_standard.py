"""What standard algorithms share: NULL and keys that no column holds have no place."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dbmesh.rules.algorithms.standard import is_plain_number, no_place
from dbmesh.rules.ruleset import Values
from dbmesh.rules.values import UNKNOWN_KEY, Key
from tests.plugins.placement import routed


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, "places no NULL"),
        (UNKNOWN_KEY, "cannot hold it"),
        (b"x", "cannot compute with a value of this type"),
    ],
)
def test_why_a_key_has_no_place(key: Key, message: str) -> None:
    assert message in no_place(key, "MOD").reason


def test_a_list_reaches_every_members_target_once() -> None:
    assert routed("MOD", {"sharding-count": "4"}, Values((5, 2, 9))) == ("t_1", "t_2")


def test_numbers_to_calculate_with() -> None:
    assert is_plain_number(5)
    assert is_plain_number(Decimal("1e50"))
    for key in (Decimal("1e200"), Decimal("NaN"), "5", None):
        assert not is_plain_number(key)
