"""Runs mysql-connector-python's own tests on the server that the environment names; run in its source folder.

Its modules are run as they are, with the record of this package; tests that need a server of their own skip themselves.
Knows nothing of whether that server is MariaDB or dbmesh.
"""

from __future__ import annotations

import os
import sys
import unittest
from pathlib import Path

from recording import RecordingResult, recorded


class Loader(unittest.TestLoader):
    """Finds the tests that this run has not seen yet."""

    def loadTestsFromNames(self, names: object, module: object = None) -> unittest.TestSuite:  # noqa: N802
        """What unittest asks for the tests of several modules."""
        done = recorded()
        found = _each(super().loadTestsFromNames(names))
        return self.suiteClass(test for test in found if test.id() not in done and not _waits(test.id()))


def _waits(test: str) -> bool:
    """Whether a test is one of the client's own time limits, which sleep for minutes."""
    return "timeout." in test


def _each(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    found: list[unittest.TestCase] = []
    for test in suite:
        found.extend(_each(test) if isinstance(test, unittest.TestSuite) else [test])
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    import unittests

    unittest.TestLoader = Loader
    unittests.BasicTestRunner.resultclass = RecordingResult
    options = ["--use-external-server", "--skip-install", "--user=root", "--host=127.0.0.1"]
    options += [
        f"--port={os.environ['COMPATIBILITY_PORT']}",
        f"--password={os.environ['COMPATIBILITY_PASSWORD']}",
    ]
    sys.argv[1:1] = options
    unittests.main()
