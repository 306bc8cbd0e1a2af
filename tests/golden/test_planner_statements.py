"""Golden cases of INSERT, UPDATE, DELETE, DDL, metadata and session statements: SQL in, shots or refusal out.

`DBMESH_GOLDEN=rewrite` writes what is planned now into the files; the review reads the difference.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbmesh.errors import MeshError
from dbmesh.planner.ddl import plan_ddl
from dbmesh.planner.information_schema import plan_information_schema
from dbmesh.planner.insert import plan_insert
from dbmesh.planner.metadata import plan_metadata
from dbmesh.planner.session_statements import plan_session_statement
from dbmesh.planner.write import plan_write
from tests.plugins.planner_world import call_of, context_of, shots_of

_FOLDER = Path(__file__).parent / "planner"
_FILES = ("insert", "write", "ddl", "metadata", "session")


def planned(area: str, sql: str, parameters: list[Any], keep: bool) -> dict[str, Any]:
    """What the planner of that area makes of a statement, as plain data."""
    try:
        if area == "session":
            return {"plan": repr(plan_session_statement(sql))}
        context = context_of(sql)
        if area == "metadata":
            plan = plan_metadata(context) or plan_information_schema(context)
        else:
            plan = {"insert": plan_insert, "write": plan_write, "ddl": plan_ddl}[area](context)
        if plan is None or not hasattr(plan, "bind"):
            return {"plan": repr(plan)}
        bound = plan.bind(call_of(sql, tuple(parameters), keep_parameters=keep))
        result: dict[str, Any] = {"shots": shots_of(bound), "answer": repr(bound.answer)}
        if bound.keeps_parameters:
            result["keeps_parameters"] = True
        if bound.generated_id is not None:
            result["generated_id"] = bound.generated_id
        return result
    except MeshError as error:
        return {"refused": f"{error.number}: {error}"}


def _cases() -> list[Any]:
    return [
        pytest.param(area, case, id=f"{area}: {case['sql'][:80]}")
        for area in _FILES
        for case in yaml.safe_load((_FOLDER / f"{area}.yaml").read_text())
    ]


@pytest.mark.parametrize(("area", "case"), _cases())
def test_golden(area: str, case: dict[str, Any]) -> None:
    expected = {key: case[key] for key in case if key not in ("sql", "parameters", "keep")}
    assert planned(area, case["sql"], case.get("parameters", []), case.get("keep", False)) == expected


def rewrite() -> None:
    """Replace every expectation by what is planned now."""
    for area in _FILES:
        path = _FOLDER / f"{area}.yaml"
        cases = yaml.safe_load(path.read_text())
        for case in cases:
            inputs = {key: case[key] for key in ("sql", "parameters", "keep") if key in case}
            case.clear()
            case.update(inputs)
            case.update(planned(area, inputs["sql"], inputs.get("parameters", []), inputs.get("keep", False)))
        path.write_text(yaml.safe_dump(cases, sort_keys=False, allow_unicode=True, width=10_000))


if os.environ.get("DBMESH_GOLDEN") == "rewrite":
    rewrite()
