"""A transaction on PostgreSQL that an error has ended: COMMIT rolls it back, and says so in its tag alone."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dbmesh.backend.postgres.database import Database, _lock_timeout
from dbmesh.errors import ShardError


class _GivenUp:
    """A connection whose transaction PostgreSQL has given up."""

    def __init__(self) -> None:
        self.open = True

    def is_in_transaction(self) -> bool:
        return self.open

    async def execute(self, sql: str) -> str:
        self.open = sql.startswith("BEGIN")
        return "ROLLBACK" if sql == "COMMIT" else sql.partition(" ")[0]

    fetch = execute


@pytest.mark.parametrize("statement", ["COMMIT", "commit and chain", "BEGIN", "CREATE TABLE t (id INT)"])
async def test_what_postgres_has_given_up_is_not_called_committed(statement: str) -> None:
    connection = _GivenUp()
    database = Database(cast("Any", connection), "shop")
    with pytest.raises(ShardError) as found:
        await database.run(statement)
    assert found.value.number == 1180
    assert not connection.open


async def test_what_is_rolled_back_is_no_error() -> None:
    connection = _GivenUp()
    await Database(cast("Any", connection), "shop").run("ROLLBACK")
    assert not connection.open


@pytest.mark.parametrize(("seconds", "told"), [(0, 1), (0.5, 500), (50, 50_000), (1_073_741_824, 2**31 - 1)])
def test_how_long_a_lock_is_waited_for(seconds: float, told: int) -> None:
    assert _lock_timeout(seconds) == told
