"""PyMySQL for tests: without TLS unless a test asks for it.

Decides nothing but that. Knows neither servers nor the mesh.
"""

from __future__ import annotations

from typing import Any

import pymysql


def connect(**settings: Any) -> pymysql.Connection[Any]:
    """`pymysql.connect`, without TLS where no setting is about it. For each connection PyMySQL would otherwise read all
    certificates that the system trusts, before it knows whether the server offers TLS: nearly half of what tests cost
    their own process."""
    about_tls = any(name.startswith("ssl") for name in settings)
    return pymysql.connect(**settings if about_tls else {**settings, "ssl_disabled": True})
