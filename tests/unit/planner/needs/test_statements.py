"""Every statement form says what it needs; what nobody has listed is for administrators."""

from __future__ import annotations

from typing import get_args

import pytest

from dbmesh.planner import session_plan as own
from dbmesh.planner.needs.need import Denied, check
from dbmesh.planner.needs.statements import _FREE, _OWN, statement_needs
from dbmesh.planner.session_plan import SessionStatement
from dbmesh.planner.session_statements import plan_session_statement
from dbmesh.rules.privileges import ADMINISTRATOR, PERMITTED, Privileges
from tests.plugins.planner_world import context_of

_EVERYBODYS = (
    "BEGIN",
    "COMMIT",
    "SET @a = 1",
    "SHOW WARNINGS",
    "SHOW PROCESSLIST",
    "SHOW PROXY PROCESSLIST",
    "SHOW GRANTS",
    "GET DIAGNOSTICS @n = NUMBER",
    "CALL p()",
    "CREATE PROCEDURE p() SELECT 1",
    "DO 1",
)


@pytest.mark.parametrize("sql", _EVERYBODYS)
def test_who_may_do_everything_in_the_databases_may_send_it(sql: str) -> None:
    context = context_of(sql)
    plan = own_plan(sql)
    check(statement_needs(context, plan), Privileges(PERMITTED))


def own_plan(sql: str) -> SessionStatement:
    plan = plan_session_statement(sql)
    assert plan is not None
    return plan


def test_every_statement_of_the_session_is_listed() -> None:
    assert set(get_args(SessionStatement)) == {*_FREE, *_OWN, own.LocalRows}


def test_an_unknown_form_is_closed() -> None:
    context = context_of("PURGE BINARY LOGS TO 'a'")
    with pytest.raises(Denied):
        check(statement_needs(context, None), Privileges(PERMITTED))
    check(statement_needs(context, None), Privileges(ADMINISTRATOR))
