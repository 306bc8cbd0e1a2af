"""Django's settings for its own tests: two databases on the server that the environment names.

Knows nothing of whether that server is MariaDB or dbmesh.
"""

from __future__ import annotations

import os
import unittest
from typing import Any

from django.test.runner import DiscoverRunner
from django.test.utils import iter_test_cases
from recording import RecordingResult, recorded


def _database(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.mysql",
        "HOST": "127.0.0.1",
        "PORT": int(os.environ["COMPATIBILITY_PORT"]),
        "USER": "root",
        "PASSWORD": os.environ["COMPATIBILITY_PASSWORD"],
        "NAME": name,
        "TEST": {"NAME": f"test_{name}", "CHARSET": "utf8mb4"},
    }


class RecordingRunner(DiscoverRunner):
    """Django's test runner, with the record of this package."""

    def build_suite(self, *arguments: Any, **options: Any) -> unittest.TestSuite:
        """The tests that this run has not seen yet."""
        done = recorded()
        found = iter_test_cases(super().build_suite(*arguments, **options))
        return self.test_suite(test for test in found if test.id() not in done)

    def get_resultclass(self) -> type[unittest.TextTestResult]:
        """What unittest tells the outcomes to."""
        return RecordingResult


DATABASES = {"default": _database("django"), "other": _database("django_other")}
TEST_RUNNER = "django_settings.RecordingRunner"
SECRET_KEY = "compatibility"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
