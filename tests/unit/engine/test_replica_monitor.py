"""What SHOW REPLICA STATUS tells."""

from __future__ import annotations

from dbmesh.engine.collect import Result
from dbmesh.engine.replica_monitor import read_status
from dbmesh.session.answering.result_sink import text_column


def status(*rows: dict[str, bytes | None]) -> Result:
    names = tuple(rows[0]) if rows else ("Slave_IO_Running",)
    return Result(tuple(text_column(name) for name in names), [list(row.values()) for row in rows])


def row(
    io: bytes = b"Yes", sql: bytes = b"Yes", lag: bytes | None = b"0", **more: bytes
) -> dict[str, bytes | None]:
    return {
        "Slave_IO_Running": io,
        "Slave_SQL_Running": sql,
        "Seconds_Behind_Master": lag,
        "Last_IO_Error": more.get("io_error", b""),
        "Last_SQL_Error": more.get("sql_error", b""),
    }


def test_a_replica_that_runs() -> None:
    seen = read_status(status(row(lag=b"3")), read_only=True)
    assert (seen.stalled, seen.searches, seen.follows, seen.lag, seen.read_only) == (
        "",
        False,
        True,
        3.0,
        True,
    )


def test_newer_servers_have_newer_names() -> None:
    named: dict[str, bytes | None] = {
        "Replica_IO_Running": b"Yes",
        "Replica_SQL_Running": b"Yes",
        "Seconds_Behind_Source": b"4",
    }
    seen = read_status(status(named), read_only=False)
    assert (seen.stalled, seen.follows, seen.lag) == ("", True, 4.0)


def test_a_server_without_a_source_is_nobodys_replica() -> None:
    seen = read_status(status(), read_only=False)
    assert (seen.stalled, seen.follows) == ("it is nobody's replica", False)


def test_what_does_not_run_says_why() -> None:
    seen = read_status(status(row(sql=b"No", lag=None, sql_error=b"duplicate key")), read_only=True)
    assert (seen.stalled, seen.follows, seen.lag) == ("it does not apply changes: duplicate key", True, None)
    assert read_status(status(row(io=b"No")), read_only=True).stalled == "it does not receive changes"
    seen = read_status(status(row(io=b"Connecting", lag=None)), read_only=True)
    assert (seen.stalled, seen.searches) == ("", True)


def test_of_several_sources_the_worst_counts() -> None:
    assert read_status(status(row(lag=b"1"), row(lag=b"9")), read_only=True).lag == 9.0
    assert read_status(status(row(), row(sql=b"No")), read_only=True).stalled == "it does not apply changes"


def test_a_replica_that_an_error_or_one_of_its_threads_has_left_is_still_one() -> None:
    for broken in (row(sql=b"No"), row(io=b"No"), row(b"No", b"No", sql_error=b"duplicate key")):
        assert read_status(status(broken), read_only=False).follows
    assert not read_status(status(row(b"No", b"No")), read_only=False).follows, "it was stopped on purpose"


def test_it_tells_its_sources() -> None:
    for name in ("Master_Server_Id", "Source_Server_Id"):
        seen = read_status(status(row() | {name: b"7"}, row() | {name: b"8"}), read_only=True)
        assert seen.sources == {7, 8}
