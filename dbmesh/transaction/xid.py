"""Names of distributed transactions and their branches, as XA statements carry them.

Decides what a name tells whoever finds the branch prepared and its coordinator gone: that it is a mesh's, which
data source holds the decision, and which the branch itself is on. A name of any other shape is somebody else's.
Knows nothing of connections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from typing import NamedTuple

FORMAT = 0x64626D65
"""The formatID of every branch of a mesh: 'dbme'."""

_GLOBAL = re.compile(rb"[0-9a-f]{16}-[0-9a-f]{1,16}\Z")
_BRANCH = re.compile(rb"[0-9a-f]{16}-[0-9a-f]{16}\Z")


@dataclass(frozen=True, slots=True)
class Xid:
    """One branch. `gtrid` names the transaction, `decider` and `own` are the signs of the places that hold the decision and
    the branch."""

    gtrid: str
    decider: str
    own: str

    @property
    def sql(self) -> str:
        """As an argument of XA START, END, PREPARE, COMMIT and ROLLBACK."""
        return f"'{self.gtrid}','{self.decider}-{self.own}',{FORMAT}"


def read_xid(format_id: int, gtrid_length: int, data: bytes) -> Xid | None:
    """The branch that a row of XA RECOVER names (manual, "XA Transaction SQL Statements"); None for another manager's."""
    gtrid, branch = data[:gtrid_length], data[gtrid_length:]
    if format_id != FORMAT or not _GLOBAL.match(gtrid) or not _BRANCH.match(branch):
        return None
    decider, own = branch.decode().split("-")
    return Xid(gtrid.decode(), decider, own)


class Place(NamedTuple):
    """Where a data source is. Two meshes may give one name to different places, and must not take each other's branches for
    their own. `kind` is that of its server; `inner` is the schema inside of what is called `schema`, where there are such."""

    host: str
    port: int
    schema: str
    kind: str = "mysql"
    inner: str = ""

    def __str__(self) -> str:
        place = f"{self.host}:{self.port}/{self.schema}"
        return f"{place}.{self.inner}" if self.inner else place

    @property
    def compensates(self) -> bool:
        """Whether BASE transactions and outer transaction managers may have something there."""
        return self.kind == "mysql"

    @property
    def sign(self) -> str:
        """Sixteen hexadecimal digits that stand for it."""
        return blake2b(str(self).encode(), digest_size=8).hexdigest()


class TransactionNames:
    """Makes the names of one process: `instance`, eight random bytes, tells it from all others."""

    def __init__(self, instance: bytes) -> None:
        self.instance = instance.hex()
        self._numbers = count(1)

    def next(self) -> str:
        """A name no transaction had before."""
        return f"{self.instance}-{next(self._numbers):x}"
