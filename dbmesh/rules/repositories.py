"""The section `mode` of global.yaml: where the mesh keeps what is decided while it runs.

Decides how ShardingSphere's section is read. Opens nothing; secrets come through a function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from dbmesh.rules.data_sources import Secrets, resolve_secrets
from dbmesh.rules.models import RepositorySection
from dbmesh.rules.sections import suggestion, validate
from dbmesh.rules.source import SourceFile

NAMESPACE: Final = "dbmesh"

_ETCD_KEYS: Final = (
    "namespace",
    "server-lists",
    "timeToLiveSeconds",
    "connectionTimeout",
    "user",
    "password",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
)
_PATH: Final = ("mode", "repository", "props")


@dataclass(frozen=True, slots=True)
class SQLiteRepository:
    """A file of this node; '' for the one beside global.yaml."""

    path: str = ""


@dataclass(frozen=True, slots=True)
class EtcdRepository:
    """A cluster of etcd. `servers` are host:port, `lease_seconds` is how long a sidecar that is not heard of counts as alive,
    `seconds` the time one request may take. With `tls` connections are encrypted; `ca`, `certificate` and `key` are PEM files
    ('': the system's authorities, no certificate of one's own)."""

    namespace: str
    servers: tuple[str, ...]
    lease_seconds: float = 30.0
    seconds: float = 3.0
    user: str = ""
    password: str = ""
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""


Repository = SQLiteRepository | EtcdRepository


def build_repository(source: SourceFile, mode: object, secrets: Secrets) -> Repository | None:
    """The repository, None where none is asked for. Other repositories of ShardingSphere are accepted and not used."""
    section = mode.get("repository") if isinstance(mode, dict) else None
    kind = str(section.get("type")).upper() if isinstance(section, dict) else ""
    if kind not in ("SQLITE", "ETCD"):
        return None
    read = validate(source, _PATH[:-1], section, RepositorySection)
    if read is None:
        return None
    if kind == "SQLITE":
        return SQLiteRepository(read.props.get("path", ""))
    return _etcd(source, read.props, secrets)


def _etcd(source: SourceFile, props: dict[str, str], secrets: Secrets) -> EtcdRepository | None:
    for name in props:
        if name not in _ETCD_KEYS:
            source.report((*_PATH, name), f"unknown property '{name}'", suggestion(name, _ETCD_KEYS))
    addresses = [part.strip() for part in props.get("server-lists", "").split(",") if part.strip()]
    found = [_server(source, address) for address in addresses]
    servers = [one for one in found if one is not None]
    if not addresses:
        source.report(_PATH, "server-lists is missing", "add server-lists: http://host:2379,…")
    if not servers:
        return None
    schemes = {scheme for scheme, _ in servers}
    if len(schemes) > 1:
        source.report((*_PATH, "server-lists"), "some servers use TLS, others do not", "use https:// for all")
    return EtcdRepository(
        props.get("namespace", NAMESPACE),
        tuple(address for _, address in servers),
        _seconds(source, props, "timeToLiveSeconds", 30.0),
        _seconds(source, props, "connectionTimeout", 3.0),
        resolve_secrets(source, (*_PATH, "user"), props.get("user", ""), secrets),
        resolve_secrets(source, (*_PATH, "password"), props.get("password", ""), secrets),
        "https" in schemes,
        props.get("ssl-ca", ""),
        props.get("ssl-cert", ""),
        props.get("ssl-key", ""),
    )


def _server(source: SourceFile, address: str) -> tuple[str, str] | None:
    """Scheme and host:port of a member."""
    try:
        split = urlsplit(address if "://" in address else f"http://{address}")
        port = split.port or 2379
    except ValueError:
        split, port = urlsplit(""), 0
    if split.scheme not in ("http", "https") or not split.hostname:
        source.report(
            (*_PATH, "server-lists"), f"'{address}' is no address of etcd", "write http://host:2379"
        )
        return None
    host = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    return split.scheme, f"{host}:{port}"


def _seconds(source: SourceFile, props: dict[str, str], name: str, default: float) -> float:
    try:
        seconds = float(props.get(name, default))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        source.report((*_PATH, name), f"'{props[name]}' is no number of seconds", "write a number up to 3600")
        return default
    return seconds
