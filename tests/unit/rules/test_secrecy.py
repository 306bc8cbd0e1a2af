"""Files that others will read have no password in clear text."""

from __future__ import annotations

import pytest

from dbmesh.rules.secrecy import clear_secrets

_HASH = "'*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B'"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("dataSources:\n  ds_0: {url: 'mysql://h/s', password: '${env:PW}'}\n", []),
        ("dataSources:\n  ds_0: {url: 'mysql://h/s', password: '${file:/run/pw}'}\n", []),
        ("dataSources:\n  ds_0: {url: 'mysql://h/s'}\n", []),
        (
            "dataSources:\n  ds_0:\n    url: mysql://h/s\n    password: open\n",
            [(4, "dataSources.ds_0.password")],
        ),
        ("dataSources:\n  ds_0: {password: 'x${env:PW}'}\n", [(2, "dataSources.ds_0.password")]),
        ("dataSources:\n  ds_0: {url: 'jdbc:mysql://u:open@h/s'}\n", [(2, "dataSources.ds_0.url")]),
        ("dataSources:\n  ds_0: {url: 'mysql://h/s?user=u&password=open'}\n", [(2, "dataSources.ds_0.url")]),
        ("dataSources:\n  ds_0: {url: 'mysql://u:${env:PW}@h/s'}\n", []),
        ("authority:\n  users:\n  - {user: a, password: open}\n", [(3, "authority.users[0].password")]),
        (f"authority:\n  users:\n  - {{user: a, password: {_HASH}}}\n  - {{user: b}}\n", []),
        ("authority:\n  users:\n  - {user: a, password: '${env:PW}'}\n", []),
        (
            "mode: {type: Cluster, repository: {type: etcd, props: {password: open}}}\n",
            [(1, "mode.repository.props.password")],
        ),
        ("mode: {repository: {props: {password: '${env:PW}'}}}\nauthority:\n", []),
        (
            (
                "rules:\n- !ENCRYPT\n  encryptors:\n    a: {type: AES, props: {aes-key-value: open}}\n"
                "    b: {type: MD5, props: {salt: open}}\n    c:\n      keys:\n      - {id: k1, value: '${env:KEY}'}\n"
                "      - {id: k2, value: open}\n"
            ),
            [
                (4, "rules[0].encryptors.a.props.aes-key-value"),
                (5, "rules[0].encryptors.b.props.salt"),
                (9, "rules[0].encryptors.c.keys[1].value"),
            ],
        ),
        ("rules:\n- !ENCRYPT\n  encryptors:\n    a: {props: {aes-key-value: '${command:vault read}'}}\n", []),
        ("[]\n", []),
    ],
)
def test_what_is_clear_text(text: str, places: list[tuple[int, str]]) -> None:
    found = clear_secrets({"global.yaml": text})
    assert [(mistake.line, mistake.key_path) for mistake in found] == places
    assert all("open" not in str(mistake) for mistake in found)
