"""What mirroring tells of itself: a table of mirrors, one of statements, and one of answers that differed.

Decides columns and rows. Times are microseconds, moments seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator

from dbmesh.admin.table import MICROSECONDS, Operated, Table, Value


class Mirrors(Table):
    """What became of the statements of each mirror."""

    name = "mirrors"
    sql_name = "stats_dbmesh_mirrors"
    title = "Mirrors and what became of their statements"
    columns = (
        ("schemaname", "TEXT"),
        ("target", "TEXT"),
        ("compared", "BIGINT"),
        ("same", "BIGINT"),
        ("dropped", "BIGINT"),
        ("failed", "BIGINT"),
        ("skipped", "BIGINT"),
        ("waiting", "BIGINT"),
        ("time_percent", "BIGINT"),
    )

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`. `time_percent`: how long the mirror takes, in percent of the first."""
        report = operated.mirrored
        for (database, target), tally in list(report.tallies.items()) if report is not None else ():
            assert report is not None
            own = [one for key, one in report.counts.items() if key[:2] == (database, target)]
            seconds = sum(one.seconds for one in own)
            yield (
                database,
                target,
                sum(one.compared for one in own),
                sum(one.same for one in own),
                tally.dropped,
                tally.failed,
                tally.skipped,
                tally.waiting,
                round(100 * sum(one.mirrored_seconds for one in own) / seconds) if seconds else 0,
            )


class MirroredStatements(Table):
    """Mirrored statements by digest, and what differed."""

    name = "mirrored_statements"
    sql_name = "stats_dbmesh_mirrored_statements"
    title = "Mirrored statements and how often their answers differed"
    columns = (
        ("schemaname", "TEXT"),
        ("target", "TEXT"),
        ("digest", "TEXT"),
        ("digest_text", "TEXT"),
        ("count_star", "BIGINT"),
        ("count_same", "BIGINT"),
        ("differing", "TEXT"),
        ("sum_time", "BIGINT"),
        ("sum_mirror_time", "BIGINT"),
        ("time_percent", "BIGINT"),
    )

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`. `differing` says how often what differed."""
        report = operated.mirrored
        for key, counts in list(report.counts.items()) if report is not None else ():
            yield (
                *key,
                counts.text,
                counts.compared,
                counts.same,
                ", ".join(f"{what}: {count}" for what, count in sorted(counts.differing.items())),
                round(counts.seconds * MICROSECONDS),
                round(counts.mirrored_seconds * MICROSECONDS),
                round(counts.slower * 100),
            )


class MirrorExamples(Table):
    """The last answers that differed."""

    name = "mirror_examples"
    sql_name = "stats_dbmesh_mirror_examples"
    title = "The last mirrored statements whose answers differed"
    columns = (
        ("at", "BIGINT"),
        ("schemaname", "TEXT"),
        ("target", "TEXT"),
        ("digest", "TEXT"),
        ("digest_text", "TEXT"),
        ("differs", "TEXT"),
        ("answer", "TEXT"),
        ("mirror_answer", "TEXT"),
    )

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`."""
        report = operated.mirrored
        for one in list(report.examples) if report is not None else ():
            yield (int(one.at), *one.key, one.text, ", ".join(one.differs), one.own, one.mirrored)
