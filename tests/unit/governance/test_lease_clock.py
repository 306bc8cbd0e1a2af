"""The clock of leases goes on, and nobody sets it."""

from __future__ import annotations

import time

import pytest

from dbmesh.governance.lease_clock import lease_clock


def test_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = lease_clock()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert lease_clock() >= before
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert lease_clock() <= lease_clock()
