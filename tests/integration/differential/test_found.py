"""What the differential tester found once stays found: tests/golden/differential.yaml, replayed on the shop.

`open` are kinds of differences a case is not about, `mysql` those it has on MySQL alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.differential import values
from tests.differential.client import Answer, Client
from tests.differential.compare import Difference, Expectation, compare, compare_prepared, without_not_atomic
from tests.plugins.database_server import chosen_product
from tests.plugins.fix_mesh import Shop, Target

pytestmark = pytest.mark.integration

_FILE = Path(__file__).parents[2] / "golden" / "differential.yaml"


def _cases() -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in yaml.safe_load(_FILE.read_text())]


def _client(target: Target) -> Client:
    return Client(target.port, target.user, target.password, target.database)


@pytest.fixture
def sides(fresh_shop: Shop) -> Iterator[tuple[Client, Client]]:
    """A session at the mesh and one at the plain server."""
    with _client(fresh_shop.target) as mesh, _client(fresh_shop.plain) as plain:
        yield mesh, plain


def _value(given: Any) -> values.Value:
    if given is None:
        return values.NULL
    return values.integer(given) if isinstance(given, int) else values.text(given)


def _prepared(mesh: Client, plain: Client, statement: str, parameters: list[Any]) -> list[Difference]:
    left, right = mesh.prepare_statement(statement), plain.prepare_statement(statement)
    if isinstance(left, Answer) or isinstance(right, Answer):
        assert isinstance(left, Answer), right
        assert isinstance(right, Answer), left
        return compare(left, right, Expectation())
    found = compare_prepared(left, right)
    given = [_value(parameter) for parameter in parameters]
    return found + compare(mesh.run(left, given), plain.run(right, given), Expectation())


@pytest.mark.parametrize("case", _cases())
def test_a_difference_once_found_is_gone(sides: tuple[Client, Client], case: dict[str, Any]) -> None:
    mesh, plain = sides
    statements = [case["sql"]] if isinstance(case["sql"], str) else case["sql"]
    expected = Expectation(total=case.get("ordered", False))
    known = [*case.get("open", ()), *(case.get("mysql", ()) if chosen_product() == "MySQL" else ())]
    for number, statement in enumerate(statements):
        if "parameters" in case and number == len(statements) - 1:
            found = _prepared(mesh, plain, statement, case["parameters"])
        else:
            ours = without_not_atomic(mesh.ask_with_warnings(statement))
            found = compare(ours, plain.ask_with_warnings(statement), expected)
        assert [difference for difference in found if difference.kind not in known] == []
