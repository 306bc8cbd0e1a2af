"""UUID: 32 hexadecimal digits of a random (version 4) UUID, as ShardingSphere writes them. Source: RFC 9562."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Uuid:
    """A generator that takes its randomness from outside."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes

    def next_key(self) -> str:
        """A new UUID without hyphens, in lower case."""
        number = int.from_bytes(self._random_bytes(16), "big")
        number = number & ~(0xF << 76) | 4 << 76
        number = number & ~(3 << 62) | 2 << 62
        return f"{number:032x}"

    def number(self, given: Sequence[object]) -> list[str | None]:
        """A key for every None of `given`."""
        return [self.next_key() if value is None else None for value in given]
