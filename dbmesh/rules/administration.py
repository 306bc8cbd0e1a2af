"""The section `admin` of global.yaml: where operators reach a running mesh, and what they must show.

Decides what is too open to be started. Opens nothing; secrets come through a function.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dbmesh.rules.data_sources import Secrets, resolve_secrets
from dbmesh.rules.models import AdminSection
from dbmesh.rules.source import SourceFile

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
LEAST_TOKEN: Final = 16
"""Characters of a token: shorter ones can be guessed."""


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The operators' ports. `token` is '' where only the public pages are served or certificates decide; files are PEM, ''
    for none."""

    host: str
    port: int
    sql_port: int | None
    token: str = field(repr=False)
    certificate: str = ""
    key: str = ""
    client_ca: str = ""


def build_admin(source: SourceFile, section: AdminSection | None, secrets: Secrets) -> AdminSettings | None:
    """The settings, None without the section; mistakes are reported."""
    if section is None:
        return None
    token = resolve_secrets(source, ("admin", "token"), section.token, secrets)
    if token and len(token) < LEAST_TOKEN:
        text = f"the token has {len(token)} characters"
        source.report(("admin", "token"), text, f"take {LEAST_TOKEN} or more, e.g. of `openssl rand -hex 16`")
    if (section.certificate is None) != (section.key is None):
        source.report(
            ("admin", "certificate"), "a certificate and its key belong together", "name both files"
        )
    if section.client_ca is not None and section.certificate is None:
        source.report(
            ("admin", "clientCa"), "clients show certificates over TLS only", "name certificate and key"
        )
    if section.host not in LOOPBACK and not (section.certificate and (token or section.client_ca)):
        source.report(
            ("admin", "host"),
            f"'{section.host}' can be reached by others",
            "name certificate and key, and a token or clientCa; or listen on 127.0.0.1",
        )
    if section.sql_port is not None and not token:
        source.report(("admin", "sqlPort"), "its password is the token", "name a token")
    return AdminSettings(
        section.host,
        section.port,
        section.sql_port,
        token,
        section.certificate or "",
        section.key or "",
        section.client_ca or "",
    )
