"""The section `tracing` of global.yaml: where spans of statements are sent, and of which statements there are any.

Decides what is too wrong to be started. Sends nothing; secrets come through a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from dbmesh.rules.data_sources import Secrets, resolve_secrets
from dbmesh.rules.models import TracingSection
from dbmesh.rules.source import SourceFile


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Spans go to `endpoint`, by OTLP over HTTP with these `headers`. `sample_ratio` of the statements have some, of [0, 1]; with
    `parent_based` a statement that is part of a trace has them when the trace has. `queue_size` spans may wait to be sent."""

    endpoint: str
    sample_ratio: float
    parent_based: bool
    service_name: str
    queue_size: int
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)


def build_tracing(
    source: SourceFile, section: TracingSection | None, secrets: Secrets
) -> TracingSettings | None:
    """The settings, None without the section; mistakes are reported."""
    if section is None:
        return None
    address = urlsplit(section.endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        source.report(
            ("tracing", "endpoint"),
            f"'{section.endpoint}' is no address of HTTP",
            "write http://HOST:4318/v1/traces",
        )
    headers = {
        name: resolve_secrets(source, ("tracing", "headers", name), value, secrets)
        for name, value in section.headers.items()
    }
    return TracingSettings(
        section.endpoint,
        section.sample_ratio,
        section.parent_based,
        section.service_name,
        section.queue_size,
        MappingProxyType(headers),
    )
