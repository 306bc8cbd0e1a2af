"""Every row so many times: what a query over several data nodes is run as to learn whose its warnings are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dbmesh.planner.plan import BoundStatement

Binder = Callable[..., BoundStatement]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    ("sql", "before", "after"),
    [
        ("SELECT name FROM t_user WHERE name = 5", "SELECT name FROM ", " AS t_user WHERE name = 5"),
        ("SELECT u.name FROM t_user u USE INDEX (k) FOR UPDATE", "SELECT u.name FROM ", " u  "),
    ],
)
def test_rows_are_repeated_behind_a_barrier(
    bind: Binder, sql: str, before: str, after: str, times: int
) -> None:
    bound = bind(sql)
    assert bound.repeated is not None
    rows = " UNION ALL ".join(f"SELECT {copy} AS dbmesh_copy" for copy in range(times))
    derived = (
        f"(SELECT dbmesh_t.* FROM t_user_0 AS dbmesh_t JOIN ({rows}) AS dbmesh_n LIMIT 18446744073709551615)"
    )
    assert bound.repeated(0, times).sql.decode() == f"{before}{derived}{after}"


def test_copies_of_a_row_are_groups_of_their_own(bind: Binder) -> None:
    bound = bind("SELECT COUNT(*) FROM t_user GROUP BY name ORDER BY 1")
    assert bound.repeated is not None
    assert bound.repeated(0, 2).sql.decode() == (
        "SELECT COUNT(*) FROM (SELECT dbmesh_t.*, dbmesh_n.dbmesh_copy FROM t_user_0 AS dbmesh_t JOIN "
        "(SELECT 0 AS dbmesh_copy UNION ALL SELECT 1 AS dbmesh_copy) AS dbmesh_n LIMIT 18446744073709551615) AS t_user "
        "GROUP BY name, dbmesh_copy ORDER BY 1"
    )


def test_one_shot_needs_no_trial(bind: Binder) -> None:
    assert bind("SELECT status FROM t_order WHERE user_id = 1").repeated is None
