"""The merges written down in the YAML files beside this one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbmesh.planner.plan import Aggregate, AggregateFunction, RowMerge, SortKey
from dbmesh.wire.packets import ColumnDefinition
from tests.plugins.merging import binary, decimal, double, integer, merge_rows, row, text

KINDS = {"int": integer, "double": double, "text": text, "weight": binary}


def read_cases() -> list[Any]:
    cases = []
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
        cases.extend(pytest.param(case, id=case["name"]) for case in stored)
    return cases


def make_column(name: str, kind: str) -> ColumnDefinition:
    scaled = re.fullmatch(r"decimal\((\d+)\)", kind)
    return decimal(name, int(scaled[1])) if scaled else KINDS[kind](name)


def make_keys(keys: list[dict[str, Any]]) -> tuple[SortKey, ...]:
    return tuple(SortKey(**key) for key in keys)


def make_aggregate(given: dict[str, Any]) -> Aggregate:
    function = AggregateFunction(given.pop("function"))
    return Aggregate(function=function, arguments=make_keys(given.pop("arguments", [])), **given)


def make_merge(given: dict[str, Any]) -> RowMerge:
    keys = {name: make_keys(given.pop(name, [])) for name in ("order_by", "group_by", "distinct_keys")}
    aggregates = tuple(make_aggregate(dict(item)) for item in given.pop("aggregates", []))
    return RowMerge(aggregates=aggregates, **keys, **given)


@pytest.mark.parametrize("case", read_cases())
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_merge(case: dict[str, Any], seed: int) -> None:
    columns = [make_column(name, kind) for name, kind in case["columns"].items()]
    sources = [[row(*values) for values in source] for source in case["sources"]]
    answer = merge_rows(make_merge(dict(case["merge"])), columns, sources, seed=seed)
    assert [list(values) for values in answer] == case["answer"]
