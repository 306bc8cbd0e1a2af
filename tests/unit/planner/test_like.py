"""LIKE over names the mesh lists itself."""

import pytest

from dbmesh.planner.like import matches_like


@pytest.mark.parametrize(
    ("name", "pattern", "matches"),
    [
        ("t_order", "t%", True),
        ("T_ORDER", "t_order", True),
        ("txorder", "t\\_order", False),
        ("t_order", "t\\_order", True),
        ("t.order", "t.order", True),
        ("txorder", "t.order", False),
        ("", "%", True),
        ("a", "", False),
        ("a%b", "a\\%b", True),
        ("a", "a\\", False),
        ("a\\", "a\\", True),
    ],
)
def test_matches_like(name: str, pattern: str, matches: bool) -> None:
    assert matches_like(name, pattern) is matches
