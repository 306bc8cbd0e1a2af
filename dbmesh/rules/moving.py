"""Tables whose rows are being moved, as a file of a revision says it: where they are, where they will be, and which side is read.

Decides the file's form. Pure; what is planned by it, `reshard.generation` decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dbmesh.model import DataNode

MOVING_FILE = "moving.json"
"""The file's name: one of its kind in a revision."""


class Side(StrEnum):
    """Which rules statements are planned by."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class MovingTable:
    """One logic table. `sources` are its actual tables by the rules before, `targets` by those after, each with what it is called until
    the former ones are gone."""

    name: str
    sources: tuple[DataNode, ...]
    targets: tuple[tuple[DataNode, str], ...]


@dataclass(frozen=True, slots=True)
class Moving:
    """What a job moves. `reads` is the side the revision's own files describe; `other` is the database's file of the other side. With
    `doubled` every write goes to both. The side that is not read `follows` the other one by its binlogs: it may be behind, and a row of it
    that is in the way of one that is written there gives way. `named`: the targets have their final names already, and a source that had one of these is called
    `former_name` of it."""

    job: int
    database: str
    reads: Side
    doubled: bool
    other: str
    tables: tuple[MovingTable, ...]
    named: bool = False
    follows: bool = False

    @property
    def fills(self) -> bool:
        """Whether rows are brought to the side that is not read."""
        return self.doubled or self.follows

    def renamed(self) -> tuple[tuple[DataNode, str], ...]:
        """Actual tables of the new rules that still have another name, each with that."""
        return tuple(
            (node, built_as)
            for table in self.tables
            for node, built_as in table.targets
            if built_as != node.table
        )


def former_name(table: str, job: int) -> str:
    """What an actual table is called once another has its name."""
    return f"{table}__d{job}"


def encode_moving(moving: Moving) -> str:
    """The file's text."""
    return json.dumps(
        {
            "job": moving.job,
            "database": moving.database,
            "reads": moving.reads.value,
            "doubled": moving.doubled,
            "follows": moving.follows,
            "tables": [
                {
                    "name": table.name,
                    "sources": [_words(node) for node in table.sources],
                    "targets": [[*_words(node), built_as] for node, built_as in table.targets],
                }
                for table in moving.tables
            ],
            "named": moving.named,
            "other": moving.other,
        },
        indent=1,
    )


def decode_moving(text: str) -> Moving:
    """What such a file says. Raises ValueError for one nobody of this version has written."""
    try:
        found = json.loads(text)
        return Moving(
            found["job"],
            found["database"],
            Side(found["reads"]),
            found["doubled"],
            found["other"],
            tuple(map(_table, found["tables"])),
            found["named"],
            found["follows"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{MOVING_FILE} is not as this version writes it: {error!r}") from error


def _table(found: Mapping[str, Any]) -> MovingTable:
    return MovingTable(
        found["name"],
        tuple(DataNode(*words) for words in found["sources"]),
        tuple((DataNode(source, table), built_as) for source, table, built_as in found["targets"]),
    )


def _words(node: DataNode) -> list[str]:
    return [node.data_source, node.table]
