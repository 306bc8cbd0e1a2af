"""The section `mirroring` of global.yaml: which logic databases have their statements run a second time elsewhere.

Decides the values and their mistakes. Runs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pydantic import Field, RootModel

from dbmesh.rules.models import Section
from dbmesh.rules.ruleset import RuleSet
from dbmesh.rules.sections import suggestion, validate
from dbmesh.rules.source import SourceFile


class MirrorSection(Section):
    """A logic database whose statements are run in another one too."""

    target: str = Field(description="The other logic database, with tables of the same names.")
    percent: float = Field(
        default=100, ge=0, le=100, description="How many of the statements, or transactions."
    )
    statements: str = Field(
        default="reads", description="reads: SELECT that locks nothing; all: every read and write of rows."
    )
    queue: int = Field(default=1000, ge=1, description="Most statements that wait; beyond they are dropped.")
    concurrency: int = Field(default=16, ge=1, description="Most clients' statements that are run at a time.")
    timeout_milliseconds: int = Field(
        default=10_000, ge=1, description="Longest time of a mirrored statement; then it counts as failed."
    )


class MirroringSection(RootModel[dict[str, MirrorSection]]):
    """The section `mirroring` of global.yaml, by logic database."""


_STATEMENTS = ("reads", "all")


@dataclass(frozen=True, slots=True)
class Mirror:
    """A `share` of a logic database's statements, or transactions, is run in `target` too: those that only read, or all that read and
    write rows (`writes`). At most `queue` statements wait, `concurrency` clients' are run at a time, each for `timeout` seconds
    at most. Names are in lower case."""

    database: str
    target: str
    share: float
    writes: bool
    queue: int
    concurrency: int
    timeout: float


def build_mirrors(source: SourceFile, value: object) -> tuple[Mirror, ...]:
    """The mirrors; mistakes are reported."""
    sections: dict[str, MirrorSection] = {}
    for name, written in (value or {}).items() if isinstance(value, Mapping | None) else ():
        one = validate(source, ("mirroring", str(name)), written, MirrorSection)
        if one is not None:
            sections[str(name)] = one
    if not isinstance(value, Mapping | None):
        source.report(
            ("mirroring",), "'mirroring' must be a mapping of keys", "name logic databases below it"
        )
    for name, one in sections.items():
        if one.statements.lower() not in _STATEMENTS:
            text = f"'{one.statements}' is neither reads nor all"
            source.report(("mirroring", name, "statements"), text, suggestion(one.statements, _STATEMENTS))
        if one.target.lower() == name.lower():
            path = ("mirroring", name, "target")
            source.report(path, f"'{name}' cannot be its own mirror", "name another logic database")
    return tuple(
        Mirror(
            name.lower(),
            one.target.lower(),
            one.percent / 100,
            one.statements.lower() == "all",
            one.queue,
            one.concurrency,
            one.timeout_milliseconds / 1000,
        )
        for name, one in sections.items()
    )


def unknown_databases(
    mirrors: Collection[Mirror], databases: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Where a mirror names a logic database that is not there: the key, what is wrong and what to do."""
    for one in mirrors:
        for key, name in ((one.database, one.database), (f"{one.database}.target", one.target)):
            if name not in databases:
                yield f"mirroring.{key}", f"unknown logic database '{name}'", suggestion(name, databases)


def unencrypted_targets(
    mirrors: Collection[Mirror], databases: Mapping[str, RuleSet]
) -> Iterator[tuple[str, str, str]]:
    """Where a mirror would take values of encrypted columns to servers as they are: as in `unknown_databases`."""
    for one in mirrors:
        source, target = databases.get(one.database), databases.get(one.target)
        if source is None or target is None:
            continue
        for key, table in source.encrypted.items():
            there = target.encrypted.get(key)
            for column in table.columns:
                if there is None or column.name.lower() not in there.by_name:
                    yield (
                        f"mirroring.{one.database}.target",
                        f"'{table.name}.{column.name}' is encrypted, and not in '{target.database}'",
                        "encrypt it there too",
                    )
