"""A file is shown as it is, but for its secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.rules.exporting import exported
from dbmesh.rules.source import read_source

SAMPLE = Path(__file__).parents[3] / "sharding_rules" / "database-shop.yaml"
FILE = """
# A comment with geheim in it
databaseName: shop
dataSources:
  ds_0:
    url: jdbc:mysql://root:geheim@db0:3306/a?useSSL=false&trustStorePassword=geheim
    username: root
    password: geheim
    maxPoolSize: 07
  ds_1: {url: 'mysql://db1/b', username: root, password: "${env:DB_PASSWORD}", minPoolSize: 3}
rules:
- !SHARDING
  tables:
    t: {actualDataNodes: 'ds_${0..1}.t', databaseStrategy: {none: }}
- !SINGLE {tables: ['*.*']}
- !ENCRYPT
  encryptors:
    one: {type: AES, props: {aes-key-value: geheim, salt: geheim}}
    two:
      type: AES_GCM
      keys: [{version: 1, value: geheim}, {version: 2, value: '${file:key}'}]
"""


def test_secrets_are_hidden_and_the_rest_is_there() -> None:
    text = exported("database-shop.yaml", FILE)
    assert "geheim" not in text
    before, after = read_source("a", FILE), read_source("a", text)
    assert not after.mistakes
    assert after.tags == before.tags
    sources = after.value["dataSources"]
    assert sources["ds_0"] == {
        "url": "jdbc:mysql://root:******@db0:3306/a?useSSL=false&trustStorePassword=******",
        "username": "root",
        "password": "******",
        "maxPoolSize": "07",
    }
    assert sources["ds_1"] == before.value["dataSources"]["ds_1"]
    assert after.value["rules"][:2] == before.value["rules"][:2]
    assert after.value["rules"][2]["encryptors"]["two"]["keys"][1] == {"version": "2", "value": "${file:key}"}


def test_the_sample_is_exported_whole() -> None:
    text = SAMPLE.read_text()
    before, after = read_source("a", text), read_source("a", exported("a", text))
    assert after.tags == before.tags
    assert after.value["rules"] == before.value["rules"]


@given(
    st.recursive(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "b c", "1", "true"]), inner, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_what_is_no_secret_stays_as_it_is(value: object) -> None:
    import json

    text = "top: " + json.dumps(value)
    assert read_source("a", exported("a", text)).value == read_source("a", text).value


@pytest.mark.parametrize(
    "key", ["password", "Password", "ssl-password", "authToken", "aes-key-value", "clientSecret"]
)
def test_keys_that_name_secrets(key: str) -> None:
    assert exported("a", f"{key}: geheim") == f"{key}: '******'\n"
    assert "env:A" in exported("a", key + ": ${env:A}")
