"""Which half-done statements may not be finished now."""

from __future__ import annotations

import pytest

from dbmesh.cli.ddl import _refuse_moving
from dbmesh.cli.output import Failure
from dbmesh.governance.ddl_journal import make_record
from dbmesh.rules.moving import Moving, MovingTable, Side
from dbmesh.rules.ruleset import RuleChange


def test_a_statement_about_a_table_that_moves() -> None:
    record = make_record("ab", "Shop", "ALTER TABLE `T_Order` ADD COLUMN x INT", 0.0, (), RuleChange())
    moving = Moving(7, "shop", Side.BEFORE, True, "", (MovingTable("t_order", (), ()),))
    with pytest.raises(Failure, match="'t_order', whose rows are being moved by reshard job 7"):
        _refuse_moving(moving, record)
    for other in (None, Moving(7, "hr", Side.BEFORE, True, "", moving.tables)):
        _refuse_moving(other, record)
