"""The trace a statement is part of, as its client writes it: W3C's `traceparent`, in a comment of sqlcommenter's form.

Decides how it is read. Knows no spans. Sources: W3C Trace Context, "traceparent Header"; the specification of sqlcommenter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
# A name begins where none is under way, and nothing is read twice: a client writes this, as long as it likes.
_PAIR = re.compile(r"(?<![^=,\s])([^=,\s]++)='((?:[^'\\]|\\.)*+)'\s*+(?:,|\Z)", re.DOTALL)
_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
MOST_MEMBERS, LONGEST_STATE = 32, 512
WORD = "traceparent"
"""What every text with a context has in it."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The span a statement is a child of. `state` is what else its tracing system has to say (`tracestate`)."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""


def read_traceparent(text: str, state: str = "") -> TraceContext | None:
    """What a `traceparent` says; None for one that is none. A `tracestate` that is none counts as if it were not there."""
    found = _PARENT.fullmatch(text)
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5] is not None):
        return None
    trace_id, span_id, flags = int(found[2], 16), int(found[3], 16), int(found[4], 16)
    return TraceContext(trace_id, span_id, bool(flags & 1), _state(state)) if trace_id and span_id else None


def _state(text: str) -> str:
    """W3C Trace Context, "tracestate Header Field Values"."""
    members = [member.strip() for member in text.split(",", MOST_MEMBERS) if member.strip()]
    fits = len(text) <= LONGEST_STATE and len(members) <= MOST_MEMBERS
    return ",".join(members) if fits and all(map(_MEMBER.fullmatch, members)) else ""


def context_of_text(sql: str) -> TraceContext | None:
    """The context in the comment a statement ends or begins with. O(1) for texts without the word in question."""
    if WORD not in sql:
        return None
    for comment in _outer_comments(sql):
        pairs = {unquote(name): unquote(value.replace("\\'", "'")) for name, value in _PAIR.findall(comment)}
        if WORD in pairs:
            return read_traceparent(pairs[WORD], pairs.get("tracestate", ""))
    return None


def _outer_comments(sql: str) -> list[str]:
    """The comments at both ends: what stands there is in no literal."""
    text = sql.strip().removesuffix(";").rstrip()
    found: list[str] = []
    if text.endswith("*/"):
        start = text.rfind("/*", 0, -2)
        if start >= 0:
            found.append(text[start + 2 : -2])
    if text.startswith("/*"):
        end = text.find("*/", 2)
        if end >= 0:
            found.append(text[2:end])
    return found
