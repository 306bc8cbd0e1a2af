"""Data source sections to `DataSourceConfig`: URLs, their options, secrets.

Decides how the URLs of ShardingSphere's files are read. Never connects; secrets come through a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from dbmesh.rules.models import DataSourceSection
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.rules.sections import suggestion
from dbmesh.rules.source import Path, SourceFile

Secrets = Callable[[str, str], str | None]
"""(kind, name) → the secret; kind is env, file or command (name is what to run then); None when there is none."""

_SECRET = re.compile(r"\$\{(env|file):([^}]*)\}")
_SECRET_OR_COMMAND = re.compile(r"\$\{(env|file|command):([^}]*)\}")
_MISSING: Final = {
    "env": ("environment variable '{name}' is not set", "set it before starting"),
    "file": ("file '{name}' cannot be read", "create it or correct the path"),
    "command": (
        "the key command '{name}' has failed",
        "run it by hand: it prints the key, within ten seconds",
    ),
}
_KINDS: Final = {"mysql": 3306, "mariadb": 3306, "postgresql": 5432}
_MYSQL_SCHEMES: Final = frozenset({"mysql", "mariadb"})
_TLS_MODES: Final = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")


def resolve_secrets(
    source: SourceFile, path: Path, text: str, secrets: Secrets, *, commands: bool = False
) -> str:
    """The text with every `${env:NAME}` and `${file:path}` replaced, with `commands` every `${command:…}` too; a missing one is
    reported."""

    def replace(match: re.Match[str]) -> str:
        kind, name = match.groups()
        value = secrets(kind, name)
        if value is None:
            what, fix = _MISSING[kind]
            source.report(path, what.format(name=name), fix)
            return ""
        return value

    return (_SECRET_OR_COMMAND if commands else _SECRET).sub(replace, text)


def build_data_source(
    source: SourceFile, path: Path, name: str, section: DataSourceSection, secrets: Secrets
) -> DataSourceConfig | None:
    """One data source, or None after reporting what is wrong with it."""
    url = resolve_secrets(source, (*path, "url"), section.url, secrets)
    username = resolve_secrets(source, (*path, "username"), section.username or "", secrets)
    password = resolve_secrets(source, (*path, "password"), section.password or "", secrets)
    if section.min_pool_size > section.max_pool_size:
        source.report(
            (*path, "minPoolSize"),
            f"minPoolSize {section.min_pool_size} is above maxPoolSize {section.max_pool_size}",
            "lower minPoolSize or raise maxPoolSize",
        )
    parts = _parse_url(source, (*path, "url"), url)
    if parts is None:
        return None
    kind, host, port, database, properties, url_user, url_password = parts
    mode = properties.get("sslMode", "DISABLED") if kind == "mysql" else "DISABLED"
    if mode.upper().replace("-", "_") not in _TLS_MODES:
        source.report((*path, "url"), f"unknown sslMode '{mode}'", suggestion(mode, _TLS_MODES))
    return DataSourceConfig(
        name=name,
        kind=kind,
        host=host,
        port=port,
        database=database,
        username=username or url_user or properties.get("user", ""),
        password=password or url_password or properties.get("password", ""),
        properties=MappingProxyType(
            {key: value for key, value in properties.items() if key not in ("user", "password")}
        ),
        connection_timeout=section.connection_timeout_milliseconds / 1000,
        idle_timeout=section.idle_timeout_milliseconds / 1000,
        max_lifetime=section.max_lifetime_milliseconds / 1000,
        max_pool_size=section.max_pool_size,
        min_pool_size=section.min_pool_size,
    )


def _parse_url(
    source: SourceFile, path: Path, url: str
) -> tuple[str, str, int, str, dict[str, str], str, str] | None:
    """Kind, host, port, database, options, user and password of a URL; None after reporting."""
    text = url.removeprefix("jdbc:")
    scheme = text.partition(":")[0].lower()
    if scheme == "sqlite":
        file = text[len("sqlite:") :].removeprefix("//").partition("?")[0]
        if not file:
            source.report(path, "the sqlite URL names no file", "write sqlite:path/to/file.db")
            return None
        return "sqlite", "", 0, file, {}, "", ""
    if scheme not in _KINDS:
        source.report(
            path,
            f"'{url}' is not a known URL",
            "begin it with jdbc:mysql://, mysql://, postgresql:// or sqlite:",
        )
        return None
    try:
        split = urlsplit(text)
        port = split.port or _KINDS[scheme]
    except ValueError:
        source.report(path, f"'{url}' has no valid host and port", "write host:port, e.g. 127.0.0.1:3306")
        return None
    database = unquote(split.path.removeprefix("/"))
    if not split.hostname or "," in split.netloc:
        source.report(path, f"'{url}' names no single host", "write one host:port after //")
        return None
    if not database or "/" in database:
        source.report(path, f"'{url}' names no schema", "add /schema after the port")
        return None
    kind = "mysql" if scheme in _MYSQL_SCHEMES else scheme
    options = dict(parse_qsl(split.query, keep_blank_values=True))
    return (
        kind,
        split.hostname,
        port,
        database,
        options,
        unquote(split.username or ""),
        unquote(split.password or ""),
    )
