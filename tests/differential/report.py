"""What a run found, and how it reads: progress, mismatches in their smallest form, and the summary table.

Decides which mismatches count as the same. Runs nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.differential.compare import METADATA, Difference

_QUOTED = re.compile(r"'[^']*'")


@dataclass
class Mismatch:
    """One statement that was answered differently. `smallest` is its shrunken text."""

    scene: str
    statement: str
    smallest: str
    where: str
    differences: tuple[Difference, ...]
    preview: str = ""

    @property
    def kinds(self) -> str:
        """The kinds of its differences, in a fixed order."""
        return ", ".join(sorted({difference.kind for difference in self.differences}))

    def __str__(self) -> str:
        lines = [f"[{self.scene}] {self.kinds} ({self.where})", f"  {self.smallest}"]
        for difference in self.differences[:4]:
            lines += [
                f"    {difference.kind}",
                f"      mesh:  {difference.mesh[:500]}",
                f"      plain: {difference.plain[:500]}",
            ]
        if self.preview:
            lines += ["    " + line for line in self.preview.splitlines()]
        if self.statement != self.smallest:
            lines.append(f"    from: {self.statement[:600]}")
        return "\n".join(lines)


@dataclass
class Report:
    """Counts of a run."""

    statements: int = 0
    runs: int = 0
    failed: Counter[int] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    ways: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    mismatches: list[Mismatch] = field(default_factory=list)
    undetermined: list[str] = field(default_factory=list)
    unlike: int = 0
    metadata_only: int = 0
    not_atomic: int = 0

    def refuse(self, sentence: str, statement: str) -> None:
        """Notes a refusal under its sentence, without the names in it."""
        reason = _QUOTED.sub("'…'", sentence.removeprefix("dbmesh: not supported: "))
        self.refused[reason] += 1
        if reason not in self.examples or len(statement) < len(self.examples[reason]):
            self.examples[reason] = statement

    def open(self, statement: str) -> None:
        """Notes a statement that two plain servers with the same rows answer differently."""
        self.undetermined.append(statement)

    def fail(self, number: int, statement: str) -> None:
        """Notes a statement that is an error on one server too."""
        self.failed[number] += 1
        self.failures.setdefault(number, statement)

    def differ(self, kinds: Iterable[str]) -> None:
        """Notes the kinds of a statement's differences."""
        kinds = set(kinds)
        self.kinds.update(kinds)
        if all(kind.removeprefix("prepare: ") in METADATA for kind in kinds):
            self.metadata_only += 1
        else:
            self.unlike += 1

    @property
    def clean(self) -> bool:
        """Whether nothing differed."""
        return not self.kinds

    def add(self, other: Report) -> None:
        """Takes in the counts of another run."""
        for name in ("statements", "runs", "unlike", "metadata_only", "not_atomic"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("failed", "refused", "ways", "kinds"):
            getattr(self, name).update(getattr(other, name))
        self.examples = other.examples | self.examples
        self.failures = other.failures | self.failures
        self.mismatches += other.mismatches
        self.undetermined += other.undetermined

    def table(self, seconds: float) -> str:
        """The summary."""
        refused = sum(self.refused.values())
        open_ = len(self.undetermined)
        equal = self.statements - refused - open_ - self.unlike - self.metadata_only
        lines = [
            f"| statements | {self.statements} |",
            "|---|---|",
            f"| compared executions | {self.runs} |",
            *(f"| {way} | {count} |" for way, count in self.ways.most_common()),
            f"| equal | {equal} |",
            f"| of these, the same error on both | {sum(self.failed.values())} |",
            f"| mismatches | {self.unlike} |",
            f"| mismatches of metadata only | {self.metadata_only} |",
            f"| without one answer: two plain servers differ | {open_} |",
            f"| committed on several data sources one after another, with a warning | {self.not_atomic} |",
            f"| refused | {refused} ({100 * refused / max(1, self.statements):.1f} %) |",
            f"| statements per second | {self.statements / max(seconds, 0.001):.0f} |",
        ]
        lines += [f"without one answer: {statement[:1500]}" for statement in self.undetermined[:3]]
        lines += ["", "refused, by reason:"]
        lines += [f"{count:6} {reason}" for reason, count in self.refused.most_common()]
        lines += ["", "mismatches, by kind (a statement may have several):"]
        lines += [f"{count:6} {kind}" for kind, count in self.kinds.most_common()]
        lines += ["", "the same error on both, by number:"]
        lines += [
            f"{count:6} {number}: {self.failures[number][:200]}"
            for number, count in self.failed.most_common(12)
        ]
        return "\n".join(lines)
