"""DATE '…', TIME '…' and TIMESTAMP '…': literals with a type, which the parser turns into the same trees as CAST('…' AS DATE).

Decides which of the two was written, by the text.
"""

from __future__ import annotations

import re

from sqlglot import exp

_MARK = "typed_literal"
_TYPE = re.compile(r"\b(?:DATE|TIME|TIMESTAMP)\s*\Z", re.IGNORECASE)
_ANY = re.compile(r"\b(?:DATE|TIME|TIMESTAMP)\s*['\"]", re.IGNORECASE)


def mark_typed_literals(tree: exp.Expr, text: str) -> None:
    """Mark those of a tree, whose text this is, for `is_typed_literal`."""
    if _ANY.search(text) is None:
        return
    for node in tree.find_all(exp.Cast):
        start = node.this.meta.get("start") if isinstance(node.this, exp.Literal) else None
        if start is not None and _TYPE.search(text, 0, start) is not None:
            node.meta[_MARK] = True


def is_typed_literal(node: exp.Expr) -> bool:
    """Whether a node of a marked tree is such a literal; its text is the string in it."""
    return isinstance(node, exp.Cast) and bool(node.meta.get(_MARK))
