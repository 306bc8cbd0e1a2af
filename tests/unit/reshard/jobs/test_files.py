"""The steps of a job as files: each can be read again, and says which side is read and what is written."""

from __future__ import annotations

import pytest

from dbmesh.model import DataNode
from dbmesh.reshard.jobs.files import JobFiles, decode_files, encode_files
from dbmesh.reshard.jobs.generation import planned_by
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.moving import MOVING_FILE, MovingTable, Side, decode_moving, former_name

_RULES = """\
databaseName: Shop
dataSources:
  ds_0: {{url: 'mysql://h:3306/a', username: u, password: p}}
  ds_1: {{url: 'mysql://h:3306/b', username: u, password: p}}
rules:
- !SHARDING
  tables:
    t:
      actualDataNodes: ds_${{0..1}}.t_${{0..{last}}}
      tableStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: m}}}}
      databaseStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: d}}}}
  shardingAlgorithms:
    m: {{type: INLINE, props: {{algorithm-expression: 't_${{id % {count}}}'}}}}
    d: {{type: INLINE, props: {{algorithm-expression: 'ds_${{id % 2}}'}}}}
- !SINGLE
  tables: ['*.*']
"""
_BASE = {
    "global.yaml": "authority: {users: [{user: root@%, password: x}]}",
    "database-shop.yaml": _RULES.format(last=0, count=1),
}
_FILES = JobFiles(
    7,
    "Shop",
    _BASE,
    "database-shop.yaml",
    _RULES.format(last=1, count=2),
    (
        MovingTable(
            "t",
            (DataNode("ds_0", "t_0"), DataNode("ds_1", "t_0")),
            tuple(
                (DataNode(source, f"t_{n}"), f"t_{n}" + ("__s7" if n == 0 else ""))
                for source in ("ds_0", "ds_1")
                for n in (0, 1)
            ),
        ),
    ),
)


def test_they_are_kept_as_they_are() -> None:
    assert decode_files(encode_files(_FILES)) == _FILES
    assert _FILES.unmoved(Side.BEFORE) == _BASE
    assert _FILES.unmoved(Side.AFTER)["database-shop.yaml"] == _FILES.after


@pytest.mark.parametrize(
    ("reads", "doubled", "named", "follows", "seen", "hidden", "filled"),
    [
        (Side.BEFORE, False, False, False, {"t_0"}, {"t_0__s7", "t_1"}, None),
        (Side.BEFORE, False, False, True, {"t_0"}, {"t_0__s7", "t_1"}, {"t_0__s7", "t_1"}),
        (Side.BEFORE, True, False, True, {"t_0"}, {"t_0__s7", "t_1"}, {"t_0__s7", "t_1"}),
        (Side.BEFORE, True, False, False, {"t_0"}, {"t_0__s7", "t_1"}, {"t_0__s7", "t_1"}),
        (Side.AFTER, True, False, False, {"t_0__s7", "t_1"}, {"t_0"}, {"t_0"}),
        (Side.AFTER, False, True, False, {"t_0", "t_1"}, {"t_0__d7", "t_0__s7"}, None),
    ],
)
def test_each_step(
    reads: Side,
    doubled: bool,
    named: bool,
    follows: bool,
    seen: set[str],
    hidden: set[str],
    filled: set[str] | None,
) -> None:
    files = _FILES.moving(reads, doubled=doubled, named=named, follows=follows)
    made = load_configuration(files, lambda kind, name: None)
    assert made.moving == _FILES.step(reads, doubled=doubled, named=named, follows=follows)
    assert decode_moving(files[MOVING_FILE]) == made.moving
    assert made.files == files
    assert made.moving is not None
    assert made.other is not None
    read, other = planned_by(made.moving, made.databases["shop"], made.other)
    rule = read.table("t")
    assert rule is not None
    assert {node.table for node in rule.nodes} == seen
    assert {node.table for node in read.hidden} == hidden
    assert read.doubled == (frozenset({"t"}) if doubled else frozenset())
    if other is None:
        assert filled is None
        assert not made.moving.fills
    else:
        double = other.table("t")
        assert double is not None
        assert {node.table for node in double.nodes} == filled
        assert made.moving.fills


def test_what_nobody_has_written() -> None:
    for text in ("", "{}", "[]", '{"job": 1}'):
        with pytest.raises(ValueError, match=r"as this version writes it|Expecting"):
            decode_moving(text)
    assert former_name("t_0", 7) == "t_0__d7"
