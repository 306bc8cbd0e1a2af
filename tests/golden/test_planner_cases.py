"""Every golden planner case: the rules of the shop and a statement give these shots and this merge, or this refusal.

A changed case is reviewed as a diff of the YAML files.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbmesh.errors import MeshError
from dbmesh.planner.explain import explain

_HERE = Path(__file__).parent
_SHOP = _HERE.parent / "unit" / "planner" / "conftest.py"
_FILES = (
    "planner/one_shard.yaml",
    "planner/rows.yaml",
    "planner/grouping.yaml",
    "planner/text_keys.yaml",
    "planner/subqueries.yaml",
    "planner/federation.yaml",
    "planner/views.yaml",
    "unsupported.yaml",
)


def _load_shop() -> Any:
    spec = importlib.util.spec_from_file_location("planner_shop", _SHOP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_MODULE = _load_shop()
_PLANNER = _MODULE.make_shop()


def _cases(name: str) -> Any:
    content = yaml.safe_load((_HERE / name).read_text())
    return content["cases"] if isinstance(content, dict) else content


_CASES = [
    pytest.param(case, id=f"{name}:{number}") for name in _FILES for number, case in enumerate(_cases(name))
]


@pytest.mark.parametrize("case", _CASES)
def test_case(case: dict[str, Any]) -> None:
    parameters = case.get("parameters", ())
    if "refused" in case:
        with pytest.raises(MeshError) as refusal:
            _MODULE.bind_statement(_PLANNER, case["sql"], *parameters)
        assert str(refusal.value) == case["refused"]
        if refusal.value.number == 1235:
            assert refusal.value.sqlstate == "42000"
        return
    rows = explain(_MODULE.bind_statement(_PLANNER, case["sql"], *parameters))
    assert [f"{source}: {sql}" for source, sql, _ in rows] == case["shots"]
    assert rows[0][2] == case["merge"]
