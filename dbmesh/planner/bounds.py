"""Several conditions on one sharding column as one: values meet values, ranges meet ranges.

Decides only what is certain. Text never compares here, because its order and equality belong to a collation; where
values do not compare, one of the conditions stands for both, which only widens a route.
"""

from __future__ import annotations

from typing import Any

from dbmesh.rules.ruleset import Condition, Range, Values


def meet(left: Condition, right: Condition) -> Condition:
    """Both conditions together; where values do not compare, the first alone, which only widens the route."""
    if isinstance(left, Range) and isinstance(right, Range):
        return _meet_ranges(left, right)
    if isinstance(left, Range):
        left, right = right, left
    assert isinstance(left, Values)
    if isinstance(right, Values):
        if any(isinstance(value, str) for value in (*left.values, *right.values)):
            return left if len(left.values) <= len(right.values) else right
        return Values(tuple(value for value in left.values if value in right.values))
    try:
        return Values(tuple(value for value in left.values if _within(value, right)))
    except TypeError:
        return left


def _within(value: Any, bounds: Range) -> bool:
    """Whether a key lies in a range. Text is always taken to: its order belongs to a collation."""
    if isinstance(value, str):
        return True
    lower: Any = bounds.lower
    upper: Any = bounds.upper
    if lower is not None and (value < lower or (value == lower and not bounds.lower_inclusive)):
        return False
    return upper is None or value < upper or (value == upper and bounds.upper_inclusive)


def _meet_ranges(left: Range, right: Range) -> Condition:
    """The narrower bound on each side. An open or incomparable bound gives way to the other."""
    lower, lower_inclusive = left.lower, left.lower_inclusive
    upper, upper_inclusive = left.upper, left.upper_inclusive
    if lower is None or _above(right.lower, lower):
        lower, lower_inclusive = right.lower, right.lower_inclusive
    elif lower == right.lower:
        lower_inclusive = lower_inclusive and right.lower_inclusive
    if upper is None or _above(upper, right.upper):
        upper, upper_inclusive = right.upper, right.upper_inclusive
    elif upper == right.upper:
        upper_inclusive = upper_inclusive and right.upper_inclusive
    if _above(lower, upper) or (
        lower is not None and lower == upper and not (lower_inclusive and upper_inclusive)
    ):
        return Values(())
    return Range(lower, upper, lower_inclusive, upper_inclusive)


def _above(left: Any, right: Any) -> bool:
    """Whether one bound is certainly greater: False for open bounds, text and values that do not compare."""
    if left is None or right is None or isinstance(left, str) or isinstance(right, str):
        return False
    try:
        return bool(left > right)
    except TypeError:
        return False
