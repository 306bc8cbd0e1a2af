"""URLs and secrets of data sources."""

import pytest

from dbmesh.rules.data_sources import build_data_source
from dbmesh.rules.models import DataSourceSection
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.rules.source import SourceFile

SECRETS = {("env", "USER"): "ann", ("file", "/run/pw"): "p@ss"}


def build(**keys: str) -> tuple[DataSourceConfig | None, list[str]]:
    source = SourceFile("database-a.yaml")
    section = DataSourceSection.model_validate(keys)
    config = build_data_source(
        source, ("dataSources", "ds"), "ds", section, lambda kind, name: SECRETS.get((kind, name))
    )
    return config, [mistake.message for mistake in source.mistakes]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("jdbc:mysql://h:3307/d?useSSL=false&a=b", ("mysql", "h", 3307, "d", {"useSSL": "false", "a": "b"})),
        ("mysql://h/d", ("mysql", "h", 3306, "d", {})),
        ("jdbc:mariadb://h/d", ("mysql", "h", 3306, "d", {})),
        ("mysql://[::1]:3306/d", ("mysql", "::1", 3306, "d", {})),
        ("postgresql://h/d", ("postgresql", "h", 5432, "d", {})),
        ("sqlite:data/a.db", ("sqlite", "", 0, "data/a.db", {})),
        ("sqlite:///var/a.db", ("sqlite", "", 0, "/var/a.db", {})),
    ],
)
def test_urls(url: str, expected: tuple[object, ...]) -> None:
    config, messages = build(url=url)
    assert not messages
    assert config is not None
    assert (config.kind, config.host, config.port, config.database, dict(config.properties)) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("oracle://h/d", "not a known URL"),
        ("mysql://h:x/d", "no valid host and port"),
        ("mysql://h1,h2/d", "names no single host"),
        ("mysql:///d", "names no single host"),
        ("mysql://h", "names no schema"),
        ("mysql://h/a/b", "names no schema"),
        ("mysql://[::1/d", "no valid host and port"),
        ("sqlite:", "names no file"),
    ],
)
def test_urls_with_mistakes(url: str, message: str) -> None:
    config, messages = build(url=url)
    assert config is None
    assert message in messages[0]


@pytest.mark.parametrize("mode", ["PREFERRED", "required", "verify-ca", "VERIFY_IDENTITY"])
def test_the_modes_of_tls(mode: str) -> None:
    config, messages = build(url=f"mysql://h/d?sslMode={mode}")
    assert config is not None
    assert config.properties["sslMode"] == mode
    assert not messages


def test_a_mistyped_mode_of_tls_is_a_mistake() -> None:
    _, messages = build(url="mysql://h/d?sslMode=REQIRED")
    assert messages == ["unknown sslMode 'REQIRED'"]


def test_secrets_come_from_outside() -> None:
    config, messages = build(url="mysql://h/d", username="${env:USER}", password="${file:/run/pw}")
    assert config is not None
    assert (config.username, config.password) == ("ann", "p@ss")
    assert not messages
    _, messages = build(url="mysql://h/d", username="${env:NONE}", password="${file:/none}")
    assert messages == ["environment variable 'NONE' is not set", "file '/none' cannot be read"]


def test_keys_outrank_the_url() -> None:
    config, _ = build(url="mysql://a:b@h/d?user=x&password=y")
    assert config is not None
    assert (config.username, config.password, dict(config.properties)) == ("a", "b", {})
    config, _ = build(url="mysql://h/d?user=x&password=y", username="u")
    assert config is not None
    assert (config.username, config.password) == ("u", "y")
