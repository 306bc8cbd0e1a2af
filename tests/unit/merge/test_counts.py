from __future__ import annotations

import pytest

from dbmesh.merge.counts import merge_counts
from dbmesh.planner.plan import CountMerge
from dbmesh.wire.packets import OkPacket


def test_affected_rows_and_warnings_add_up() -> None:
    merged = merge_counts(CountMerge(), [OkPacket(2, 0, 2, 1), OkPacket(3, 7, 2, 2), OkPacket(0, 9, 2, 0)])
    assert (merged.affected_rows, merged.last_insert_id, merged.status, merged.warnings) == (5, 7, 2, 3)


def test_broadcast_counts_the_first_node_alone() -> None:
    merged = merge_counts(CountMerge(broadcast=True), [OkPacket(2, 0, 2, 1, b"Records: 2")] * 3)
    assert (merged.affected_rows, merged.warnings, merged.info) == (2, 1, b"Records: 2")


def test_generated_id_outranks_the_shards() -> None:
    assert merge_counts(CountMerge(last_insert_id=42), [OkPacket(1, 7)]).last_insert_id == 42
    assert merge_counts(CountMerge(last_insert_id=0), [OkPacket(1, 7)]).last_insert_id == 0


def test_of_given_ids_the_last_rows_is_told() -> None:
    oks = [OkPacket(1, 7), OkPacket(1, 9), OkPacket(1, 8)]
    assert merge_counts(CountMerge(last=2), oks).last_insert_id == 8
    assert merge_counts(CountMerge(last=2), [*oks[:2], OkPacket(1, 0)]).last_insert_id == 7


def test_no_packets_are_an_ok_of_zeros() -> None:
    assert merge_counts(CountMerge(), []) == OkPacket()


def test_warnings_stay_within_their_two_bytes() -> None:
    assert merge_counts(CountMerge(), [OkPacket(warnings=60_000)] * 2).warnings == 0xFFFF


@pytest.mark.parametrize(
    ("infos", "expected"),
    [
        (
            [b"Records: 3  Duplicates: 0  Warnings: 0", b"Records: 2  Duplicates: 1  Warnings: 4"],
            b"Records: 5  Duplicates: 1  Warnings: 4",
        ),
        (
            [b"Rows matched: 4  Changed: 2  Warnings: 0", b"Rows matched: 1  Changed: 1  Warnings: 1"],
            b"Rows matched: 5  Changed: 3  Warnings: 1",
        ),
        ([b"", b""], b""),
        ([b"Table is already up to date"] * 2, b"Table is already up to date"),
        ([b"shard 1 says", b"shard 2 says"], b""),
    ],
)
def test_infos_add_up_counter_by_counter(infos: list[bytes], expected: bytes) -> None:
    assert merge_counts(CountMerge(), [OkPacket(info=info) for info in infos]).info == expected


def test_shard_with_a_single_inserted_row_sends_no_info_and_is_counted() -> None:
    oks = [
        OkPacket(affected_rows=1),
        OkPacket(affected_rows=2, info=b"Records: 2  Duplicates: 0  Warnings: 0"),
        OkPacket(affected_rows=2),
        OkPacket(affected_rows=0, warnings=1),
    ]
    assert merge_counts(CountMerge(), oks).info == b"Records: 5  Duplicates: 2  Warnings: 1"


def test_single_rows_for_several_shards_are_one_insert_of_several_rows() -> None:
    oks = [OkPacket(affected_rows=1), OkPacket(affected_rows=2), OkPacket(affected_rows=1)]
    merged = merge_counts(CountMerge(inserts=True), oks)
    assert merged.info == b"Records: 3  Duplicates: 1  Warnings: 0"
    assert merge_counts(CountMerge(inserts=True), oks[:1]).info == b""
    assert merge_counts(CountMerge(), oks).info == b""
