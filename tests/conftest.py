"""What every test may ask for: the plugins with the servers, the mesh, the network and the leak checks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The plugins are imported by name from the root of the tree, however pytest was started.
_ROOT = str(Path(__file__).resolve().parents[1])
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

# Wall clock says how busy the machine is, not whether a test is right.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

pytest.register_assert_rewrite("tests.plugins.equivalence")

pytest_plugins = (
    "tests.plugins.fix_mysql",
    "tests.plugins.fix_mesh",
    "tests.plugins.fix_auto_mesh",
    "tests.plugins.fix_network",
    "tests.plugins.fix_two_databases",
    "tests.plugins.fix_leaks",
)
