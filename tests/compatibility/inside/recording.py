"""Writes down how every test of a foreign suite ends, one JSON line each, as soon as it has ended.

Decides the form of that record. It runs inside the suite's own process: as a plugin of pytest
(`-p recording`), or as the result class of unittest (`RecordingResult`). A process that dies, or hangs
where Python cannot stop it, leaves its test begun; the next process of the same run does the tests that the record
does not name. Knows nothing of servers or of what the tests ask.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import traceback
import unittest
from pathlib import Path
from typing import Any

from _pytest.runner import runtestprotocol

RECORD = "COMPATIBILITY_RECORD"
"""The environment variable that names the file of the record."""
ALONE = "COMPATIBILITY_ALONE"
"""The environment variable that asks for a process of its own for every test, where pytest runs them."""
SECONDS_PER_TEST = 60
_SECONDS_TO_GIVE_UP = 10
_WORST_LAST = ("passed", "skipped", "failed")


def write(test: str, outcome: str, message: str = "") -> None:
    """Appends one line: the test's name, `begun`, `passed`, `skipped` or `failed`, and the last lines of what it
    said."""
    line = json.dumps({"test": test, "outcome": outcome, "message": message[-3000:]})
    with Path(os.environ[RECORD]).open("a") as record:
        record.write(line + "\n")


def recorded() -> frozenset[str]:
    """The tests that have begun or ended in this run."""
    lines = Path(os.environ[RECORD]).read_text().splitlines()
    return frozenset(json.loads(line)["test"] for line in lines)


def begin(test: str) -> None:
    """A test begins. One that runs too long gets a TimeoutError, so that the tests after it still run; where it waits in
    a library that hears no signal, the process ends."""
    write(test, "begun", "the process ended in this test")

    def give_up(number: int, frame: Any) -> None:
        raise TimeoutError(f"the test took longer than {SECONDS_PER_TEST} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS_PER_TEST)
    faulthandler.dump_traceback_later(SECONDS_PER_TEST + _SECONDS_TO_GIVE_UP, exit=True)


def stop_clock() -> None:
    """Ends the clock that `begin` started."""
    signal.alarm(0)
    faulthandler.cancel_dump_traceback_later()


class PytestRecorder:
    """Gathers a test's set-up, call and tear-down to one outcome, the worst of the three."""

    def __init__(self) -> None:
        self._outcome = "passed"
        self._message = ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Called by pytest with the tests it has found."""
        done = recorded()
        items[:] = [item for item in items if item.nodeid not in done]

    def pytest_runtest_protocol(self, item: Any) -> bool | None:
        """Called by pytest to run a test. In a process of its own, what a failed test leaves behind ends with it."""
        if not os.environ.get(ALONE):
            return None
        child = os.fork()
        if child == 0:
            runtestprotocol(item, nextitem=None)
            os._exit(0)
        os.waitpid(child, 0)
        return True

    def pytest_runtest_setup(self, item: Any) -> None:
        """Called by pytest before a test."""
        begin(item.nodeid)

    def pytest_runtest_teardown(self, item: Any) -> None:
        """Called by pytest after a test."""
        stop_clock()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest after each of the three."""
        if _WORST_LAST.index(report.outcome) > _WORST_LAST.index(self._outcome):
            self._outcome, self._message = report.outcome, str(report.longrepr)
        if report.when == "teardown":
            write(report.nodeid, self._outcome, self._message if self._outcome == "failed" else "")
            self._outcome, self._message = "passed", ""

    def pytest_collectreport(self, report: Any) -> None:
        """Called by pytest after it has looked into a file; one it cannot read is a failure of its own."""
        if report.failed:
            write(report.nodeid, "failed", str(report.longrepr))


def pytest_configure(config: Any) -> None:
    """Makes this module a plugin of pytest."""
    config.pluginmanager.register(PytestRecorder(), "compatibility-recorder")


class RecordingResult(unittest.TextTestResult):
    """unittest's result, written down as well. A test with a failed subtest has failed."""

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Begins a test that has not failed yet."""
        super().startTest(test)
        # Some suites rename a test while it runs.
        self._name = test.id()
        begin(self._name)
        self._outcome, self._message = "passed", ""

    def _worse(self, outcome: str, message: str) -> None:
        if _WORST_LAST.index(outcome) > _WORST_LAST.index(self._outcome):
            self._outcome, self._message = outcome, message

    def _broken(self, error: Any) -> None:
        self._worse("failed", "".join(traceback.format_exception(*error)))

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """An exception; one outside any test is that of a class's or a module's preparation."""
        super().addError(test, err)
        if type(test).__name__ == "_ErrorHolder":
            write(test.id(), "failed", "".join(traceback.format_exception(*err)))
        else:
            self._broken(err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """An assertion that does not hold."""
        super().addFailure(test, err)
        self._broken(err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """One of the cases inside a test."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._broken(err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        """A test that does not apply; a whole class may be skipped before any of its tests starts."""
        super().addSkip(test, reason)
        if hasattr(self, "_outcome"):
            self._worse("skipped", "")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        """A test that should have failed."""
        super().addUnexpectedSuccess(test)
        self._worse("failed", "unexpected success")

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Ends a test: its outcome is known."""
        super().stopTest(test)
        stop_clock()
        write(self._name, self._outcome, self._message)
