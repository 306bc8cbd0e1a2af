"""SHOW and friends: pinned patterns, PREVIEW, and what a session learns from the plan."""

import pytest

from dbmesh.planner.metadata import plan_metadata, preview_rows, preview_text
from dbmesh.planner.plan import BoundStatement, Names, Relay, Shot
from dbmesh.planner.session_plan import LocalRows
from tests.plugins.planner_world import context_of


def test_a_pattern_is_part_of_the_plan() -> None:
    context = context_of("SHOW TABLES LIKE 't\\_order%'")
    assert plan_metadata(context) == LocalRows(
        ("Tables_in_shop (t\\_order%)",),
        (("t_order",), ("t_order_item",)),
        "TABLE_NAMES",
        (("TABLE_NAME", 73), ("TABLE_TYPE", 64)),
        "shop",
    )
    assert context.pinned == {0}


def test_reading_metadata_opens_no_transaction() -> None:
    plan = plan_metadata(context_of("SHOW CREATE TABLE t_order"))
    assert plan is not None
    assert not isinstance(plan, LocalRows)
    assert getattr(plan, "reads_only", False)
    assert not getattr(plan, "opens_transaction", True)


def test_preview() -> None:
    assert preview_text("PREVIEW SELECT 'a' FROM t;") == "SELECT 'a' FROM t"
    assert preview_text("SELECT 1") is None
    bound = BoundStatement((Shot("ds_0", b"SELECT 1"),), Relay(), Names("shop", {}))
    assert preview_rows(bound) == LocalRows(
        ("data_source_name", "actual_sql", "answer"), (("ds_0", "SELECT 1", "relay"),)
    )


@pytest.mark.parametrize(
    "sql", ["ANALYZE TABLE t_order", "ANALYZE LOCAL TABLE t_order", "analyze tables t_order"]
)
def test_maintenance_is_no_explanation(sql: str) -> None:
    assert plan_metadata(context_of(sql)) is None
