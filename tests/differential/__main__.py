"""By hand: `python -m tests.differential MESH_PORT PLAIN_PORT [SEED] [COUNT]`, on a shop that is already running.

Prints every difference and how often each refusal came. Ends with 1 when anything differed.
"""

from __future__ import annotations

import sys

import pymysql

from tests.differential.run import Report, run
from tests.differential.statements import Generator
from tests.plugins.shop import DATABASE, PASSWORD, USER


def main(mesh_port: int, plain_port: int, seed: int = 1, count: int = 1000) -> int:
    """Runs `count` statements from `seed`."""
    mesh = pymysql.connect(
        host="127.0.0.1", port=mesh_port, user=USER, password=PASSWORD, database=DATABASE, autocommit=True
    )
    plain = pymysql.connect(host="127.0.0.1", port=plain_port, user=USER, database=DATABASE, autocommit=True)
    report = Report()
    generator = Generator(seed)
    for _ in range(count):
        run(generator.next(), mesh, plain, report)
    for difference in report.different:
        print(difference, end="\n\n")
    for sentence, statements in sorted(report.refused.items(), key=lambda item: -len(item[1])):
        print(f"{len(statements):5} {sentence}\n      {statements[0]}")
    refused = sum(map(len, report.refused.values()))
    print(f"compared {report.compared}, refused {refused}, different {len(report.different)}")
    return 1 if report.different else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
