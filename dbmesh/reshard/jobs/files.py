"""The files of the revisions that a job rolls out: its steps are revisions of the rules, so that every sidecar takes each at once or none does.

Decides which files each step has. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from dbmesh.rules.moving import MOVING_FILE, Moving, MovingTable, Side, decode_moving, encode_moving


@dataclass(frozen=True, slots=True)
class JobFiles:
    """What a job was begun with. `base` are the files that held then, `name` is that of the database's, `after` its text to be."""

    job: int
    database: str
    base: Mapping[str, str]
    name: str
    after: str
    tables: tuple[MovingTable, ...]

    def unmoved(self, side: Side) -> dict[str, str]:
        """The files without any job."""
        return {**self.base, self.name: self._text(side)}

    def moving(
        self, reads: Side, *, doubled: bool, named: bool = False, follows: bool = False
    ) -> dict[str, str]:
        """The files of a step."""
        step = self.step(reads, doubled=doubled, named=named, follows=follows)
        return {**self.unmoved(reads), MOVING_FILE: encode_moving(step)}

    def step(self, reads: Side, *, doubled: bool, named: bool = False, follows: bool = False) -> Moving:
        """What a step's file says."""
        other = self._text(Side.BEFORE if reads is Side.AFTER else Side.AFTER)
        return Moving(self.job, self.database, reads, doubled, other, self.tables, named, follows)

    def _text(self, side: Side) -> str:
        return self.base[self.name] if side is Side.BEFORE else self.after


def encode_files(files: JobFiles) -> bytes:
    """As the store keeps them."""
    step = encode_moving(files.step(Side.BEFORE, doubled=False))
    return json.dumps({"base": dict(files.base), "name": files.name, "step": step}).encode()


def decode_files(value: bytes) -> JobFiles:
    """The reverse."""
    found = json.loads(value)
    step = decode_moving(found["step"])
    return JobFiles(step.job, step.database, found["base"], found["name"], step.other, step.tables)
