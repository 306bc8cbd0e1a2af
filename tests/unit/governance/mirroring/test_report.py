"""Counts by digest, bounded, and examples without values."""

from __future__ import annotations

from dbmesh.governance.mirroring.answers import Answer
from dbmesh.governance.mirroring.report import MOST_DIGESTS, MOST_EXAMPLES, Key, Report


def test_what_differs_is_counted_and_shown() -> None:
    report = Report()
    key = Key("shop", "next", "d1")
    rows = Answer(rows=2), Answer(rows=3)
    report.compared(key, "SELECT ?", (), rows, (0.5, 1.0), 1.0)
    report.compared(key, "SELECT ?", ("row count",), rows, (0.5, 2.0), 2.0)
    report.compared(key, "SELECT ?", ("status",), (Answer(affected=1), Answer(error=1062)), (1.0, 1.0), 3.0)
    counts = report.counts[key]
    assert (counts.compared, counts.same, dict(counts.differing)) == (3, 1, {"row count": 1, "status": 1})
    assert counts.slower == 2.0
    assert [(one.own, one.mirrored) for one in report.examples] == [
        ("2 rows", "3 rows"),
        ("1 affected", "error 1062"),
    ]


def test_neither_statements_nor_examples_grow_without_end() -> None:
    report = Report()
    for number in range(MOST_DIGESTS + 50):
        key = Key("shop", "next", str(number))
        report.compared(key, "x", ("rows",), (Answer(), Answer()), (0.0, 0.0), 0.0)
    assert len(report.counts) == MOST_DIGESTS + 1
    assert report.counts[Key("shop", "next", "other")].compared == 50
    assert len(report.examples) == MOST_EXAMPLES
    assert report.counts[Key("shop", "next", "1")].slower == 0
