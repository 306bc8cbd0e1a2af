"""Django's settings for its own tests: two databases on the server that the environment names.

Knows nothing of whether that server is MariaDB or dbmesh.
"""

from __future__ import annotations

import os
import unittest
from typing import Any

from django.db.backends.mysql.creation import DatabaseCreation
from django.test.runner import DiscoverRunner
from recording import RecordingResult


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
    """Django's test runner, with the record of this package and databases that are there already."""

    def setup_databases(self, **options: Any) -> Any:
        """Makes the tables; the databases were made, and are taken down, with the servers."""
        DatabaseCreation._execute_create_test_db = lambda *_: None
        DatabaseCreation._destroy_test_db = lambda *_: None
        return super().setup_databases(**options)

    def get_resultclass(self) -> type[unittest.TextTestResult]:
        """What unittest tells the outcomes to."""
        return RecordingResult


DATABASES = {"default": _database("django"), "other": _database("django_other")}
TEST_RUNNER = "django_settings.RecordingRunner"
SECRET_KEY = "compatibility"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
