"""Django for tests: one configuration for the process, whichever test comes first. Knows no servers: fixtures fill them in."""

from __future__ import annotations

import django
from django.conf import settings


def configure() -> None:
    """Set Django up once."""
    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.mysql", "NAME": "shop"}},
            INSTALLED_APPS=[],
            USE_TZ=False,
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        )
        django.setup()
