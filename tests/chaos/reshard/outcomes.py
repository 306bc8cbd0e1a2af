"""What became of each case, kept so that an enumeration that was cut off goes on where it was.

Decides the form in the file (a line of JSON for each case) and what there is to say of all of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Outcome:
    """What became of a case. `seconds` from when what was killed came back until the job was where it ends; `asked`: what the job said of itself each time
    an operator had to say that it goes on; `longest` the longest statement, in seconds. `failed`: what clients of a sidecar that lived were told,
    with how often. `rows`: how many were looked for on each side; `repaired`: how many of them verification had to repair, as the job said when it
    was ready; `wrong`: every contradiction."""

    case: str
    victim: str
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)
    statements: int = 0
    longest: float = 0.0
    failed: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    repaired: int = 0
    wrong: list[str] = field(default_factory=list)


def read(path: Path) -> list[Outcome]:
    """Those in a file; none where there is no file."""
    return [Outcome(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def append(path: Path, outcome: Outcome) -> None:
    """One more."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(outcome)) + "\n")


def told(one: Outcome) -> str:
    """For people."""
    asked = f", told to go on {len(one.asked)} times" if one.asked else ""
    statements = f"{one.statements} statements, the longest {one.longest:.2f} s"
    lines = [
        f"| {one.case} | at its end after {one.seconds:.1f} s{asked}; {statements}; {one.rows} rows, {one.repaired} repaired, {len(one.wrong)} wrong |"
    ]
    lines += [f"    {count} × {text[:300]}" for text, count in one.failed.items()]
    lines += [f"    {text[:600]}" for text in (*one.asked, *one.wrong[:10])]
    return "\n".join(lines)


def record(outcomes: Sequence[Outcome]) -> list[tuple[str, object]]:
    """What there is to say of all of them."""
    survived = Counter(one.victim for one in outcomes if not one.wrong)
    return [
        ("kills", len(outcomes)),
        ("kills survived", sum(survived.values())),
        *((f"of these, {victim}", count) for victim, count in sorted(survived.items())),
        ("jobs that went on by themselves", sum(not one.asked for one in outcomes)),
        ("jobs that were told to go on", sum(bool(one.asked) for one in outcomes)),
        ("statements", sum(one.statements for one in outcomes)),
        ("the longest of them, in seconds", round(max((one.longest for one in outcomes), default=0.0), 2)),
        ("statements that failed at a sidecar that lived", sum(sum(one.failed.values()) for one in outcomes)),
        ("rows compared", sum(one.rows for one in outcomes)),
        ("rows that verification had to repair", sum(one.repaired for one in outcomes)),
        ("rows lost, doubled or stale, and other contradictions", sum(len(one.wrong) for one in outcomes)),
    ]
