"""A few hundred random statements of one seed: the mesh answers as one server with all rows, or says that it cannot."""

from __future__ import annotations

from tests.differential.run import Report, run
from tests.differential.statements import Generator
from tests.plugins.fix_mesh import Shop

_STATEMENTS = 300
_MOST_REFUSED = 60


def test_random_statements_answer_as_on_one_server(fresh_shop: Shop) -> None:
    generator, report = Generator(2024), Report()
    mesh, plain = fresh_shop.target.connect(), fresh_shop.plain.connect()
    try:
        for _ in range(_STATEMENTS):
            run(generator.next(), mesh, plain, report)
    finally:
        mesh.close()
        plain.close()
    assert not report.different, "\n\n".join(report.different)
    refused = sum(map(len, report.refused.values()))
    assert refused <= _MOST_REFUSED, report.refused
    assert report.compared > _STATEMENTS - refused
