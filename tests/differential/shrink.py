"""The smallest form of a statement that still differs.

Decides which smaller trees are tried, and stops after a number of tries. Asks a question about each tree and knows nothing
else of servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.differential.tree import Compound, Part, Select, size, smaller


def shrink(statement: Part, fails: Callable[[Part], bool], tries: int = 400) -> Part:
    """Cuts as long as the rest fails in the same way."""
    best = statement
    progress = True
    while progress and tries > 0:
        progress = False
        for candidate in sorted(set_aside_equal(candidates(best), best), key=size):
            tries -= 1
            if tries <= 0:
                break
            if fails(candidate):
                best, progress = candidate, True
                break
    return best


def set_aside_equal(trees: Iterator[Part], best: Part) -> list[Part]:
    """The trees that are smaller indeed, each once."""
    most = size(best)
    found: dict[Part, None] = {}
    for tree in trees:
        if tree != best and size(tree) <= most:
            found.setdefault(tree)
    return list(found)


def candidates(statement: Part) -> Iterator[Part]:
    """Smaller trees, and for set operations those with one column less on every side."""
    yield from smaller(statement)
    if isinstance(statement, Compound):
        width = _width(statement)
        for place in range(width if width > 1 else 0):
            yield _without(statement, place)


def _width(query: Part) -> int:
    while isinstance(query, Compound):
        query = query.left
    return len(query.items) if isinstance(query, Select) else 0


def _without(query: Part, place: int) -> Part:
    if isinstance(query, Compound):
        left, right = _without(query.left, place), _without(query.right, place)
        return replace(query, left=left, right=right, order=(), tail=None)
    if isinstance(query, Select):
        return replace(query, items=query.items[:place] + query.items[place + 1 :])
    return query
