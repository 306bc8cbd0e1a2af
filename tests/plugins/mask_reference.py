"""What ShardingSphere's masks make of a text, written down a second time: character by character, as its documentation tells.

Decides by itself, so that tests do not believe what the product says about them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

Reference = Callable[[str], str]


def reference(kind: str, props: Mapping[str, str]) -> Reference:
    """The mask of this type and these properties. Random ones have none."""
    mark = props.get("replace-char", "")
    first, last = int(props.get("first-n", 0)), int(props.get("last-m", 0))
    start, end = int(props.get("from-x", 0)), int(props.get("to-y", 0))
    special = props.get("special-chars", "")

    def covered(value: str, chosen: Callable[[int], bool]) -> str:
        return "".join(mark if chosen(place) else character for place, character in enumerate(value))

    def keep_first_and_last(value: str) -> str:
        if len(value) < first + last:
            return value
        return covered(value, lambda place: first <= place < len(value) - last)

    def beside(value: str, *, before: bool) -> str:
        at = value.find(special)
        if at < 0:
            return value
        return covered(value, lambda place: place < at if before else place >= at + len(special))

    masks: dict[str, Reference] = {
        "MD5": lambda value: hashlib.md5((value + props.get("salt", "")).encode()).hexdigest(),
        "KEEP_FIRST_N_LAST_M": keep_first_and_last,
        "KEEP_FROM_X_TO_Y": lambda value: covered(value, lambda place: not start <= place <= end),
        "MASK_FIRST_N_LAST_M": lambda value: covered(
            value, lambda place: place < first or place >= len(value) - last
        ),
        "MASK_FROM_X_TO_Y": lambda value: covered(value, lambda place: start <= place <= end),
        "MASK_BEFORE_SPECIAL_CHARS": lambda value: beside(value, before=True),
        "MASK_AFTER_SPECIAL_CHARS": lambda value: beside(value, before=False),
    }
    return masks[kind]
