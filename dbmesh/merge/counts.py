"""OK packets of several shards become the one a client sees.

Decides affected rows, last insert id, warnings and info text of a write that ran on several data nodes. The status
bits are the session's and are left as the first packet's. Source: manual, "mysql_info()".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from dbmesh.planner.plan import CountMerge
from dbmesh.wire.packets import OkPacket

_COUNTER: Final = re.compile(rb"([A-Za-z][A-Za-z ]*): (\d+)")
_INFO: Final = re.compile(rb"[A-Za-z][A-Za-z ]*: \d+(?:  [A-Za-z][A-Za-z ]*: \d+)*\Z")
_WARNINGS: Final = re.compile(rb"(?<=Warnings: )\d+")
_MAX_WARNINGS: Final = 0xFFFF


def merge_counts(merge: CountMerge, oks: Sequence[OkPacket]) -> OkPacket:
    """One OK packet for those of all shards, in the order of the shots. No packets at all mean that no shard had
    anything to do: an OK of zeros."""
    if not oks:
        return OkPacket(last_insert_id=merge.last_insert_id or 0)
    # Of rows that bring their numbers, a server tells the last one's (manual, "mysql_insert_id()").
    ids = [ok.last_insert_id for ok in (*oks[merge.last : merge.last + 1], *oks)]
    shard_id = next(filter(None, ids), 0)
    counted = list(oks[:1] if merge.broadcast else oks)
    return OkPacket(
        affected_rows=sum(ok.affected_rows for ok in counted),
        last_insert_id=shard_id if merge.last_insert_id is None else merge.last_insert_id,
        status=oks[0].status,
        warnings=min(sum(ok.warnings for ok in counted), _MAX_WARNINGS),
        info=_merge_infos(counted, inserts=merge.inserts and len(oks) > 1),
    )


def _merge_infos(oks: Sequence[OkPacket], *, inserts: bool) -> bytes:
    """`Records: 3  Duplicates: 0  Warnings: 0` and its like added up counter by counter, in the first one's order.
    A text of another form is a sentence about one shard's work and is kept only if all say the same."""
    present = [ok.info for ok in oks if ok.info]
    if not present and inserts:
        # Several rows, one for each shard: together they are a statement that has an info.
        present = [info_of_one_row(oks[0])]
    if not present:
        return b""
    if not all(_INFO.match(info) for info in present):
        return present[0] if len(set(present)) == 1 else b""
    totals = {label: 0 for label, _ in _COUNTER.findall(present[0])}
    for info in (ok.info or info_of_one_row(ok) for ok in oks):
        for label, number in _COUNTER.findall(info):
            if label in totals:
                totals[label] += int(number)
    return b"  ".join(b"%s: %d" % (label, total) for label, total in totals.items())


def info_of_one_row(ok: OkPacket) -> bytes:
    """An INSERT of one row sends no info. What it would have said: two affected rows are a replaced one, none with a
    warning an ignored one."""
    duplicates = ok.affected_rows == 2 or (ok.affected_rows == 0 and ok.warnings > 0)
    return b"Records: 1  Duplicates: %d  Warnings: %d" % (duplicates, ok.warnings)


def rows_updated(ok: OkPacket) -> tuple[int, int]:
    """How many rows an UPDATE has matched and changed."""
    counters = dict(_COUNTER.findall(ok.info))
    return int(counters.get(b"Rows matched", 0)), int(counters.get(b"Changed", 0))


def with_warnings(info: bytes, count: int) -> bytes:
    """An info with this number of warnings; one that tells none stays as it is."""
    return _WARNINGS.sub(b"%d" % count, info)
