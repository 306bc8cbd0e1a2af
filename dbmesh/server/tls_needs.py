"""Whether a connection shows what its account's logins must show: TLS, a client certificate, its names.

Decides by comparing names as MySQL does. Knows no passwords.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dbmesh.rules.accounts import TlsNeed

if TYPE_CHECKING:
    from dbmesh.backend.tls import TlsChannel

_SHORT: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "userId": "UID",
}
"""OpenSSL's short names of what a certificate's names consist of; others have none."""


def is_met(need: TlsNeed, channel: TlsChannel | None) -> bool:
    """Whether a connection over `channel`, None without TLS, may log in."""
    if channel is None:
        return not need.required
    if not need.certificate:
        return True
    shown = channel.peer()
    return bool(shown) and all(
        not wanted or name_of(shown, part) == wanted
        for part, wanted in (("subject", need.subject), ("issuer", need.issuer))
    )


def name_of(certificate: Mapping[str, Any], part: str) -> str:
    """A certificate's `subject` or `issuer` as OpenSSL writes it in one line: `/C=DE/CN=app`."""
    parts: Iterable[Iterable[tuple[str, str]]] = certificate.get(part, ())
    return "".join(f"/{_SHORT.get(key, key)}={value}" for names in parts for key, value in names)
