"""mysql-connector's C implementation where it must be loaded before everything else: the same tests in a child."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.connector import c_extension_loads

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent


@pytest.mark.skipif(c_extension_loads(), reason="the other modules run the C implementation in this process")
def test_the_c_implementation_passes_the_tests_of_the_others() -> None:
    start = "import _mysql_connector, pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            start,
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            "connector-c",
            str(HERE / "test_dbapi.py"),
            str(HERE / "test_prepared.py"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=HERE.parents[2],
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
