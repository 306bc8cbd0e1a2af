"""`!ENCRYPT`: what it means, and every mistake it can have."""

from __future__ import annotations

import pytest

from dbmesh.rules.joint import join
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import RuleSet

GLOBAL = "authority:\n  users:\n  - {user: root@%, password: root}\n"
ENCRYPTORS = """\
    aes: {type: aes, props: {aes-key-value: "${env:KEY}", digest-algorithm-name: SHA-1}}
    gcm: {type: AES_GCM, keys: [{id: k1, value: "${command:vault read}"}, {id: k2, value: "${file:/run/key}"}]}
    md5: {type: MD5, props: {salt: pepper}}
    hmac: {type: HMAC_SHA256, keys: [{id: k1, value: "${env:KEY}"}]}
    like: {type: CHAR_DIGEST_LIKE}
"""
SECRETS = {
    ("env", "KEY"): "a text that is long enough",
    ("file", "/run/key"): "another text that is long enough",
    ("command", "vault read"): "a third text that is long enough",
}
SHARDED = (
    "- !SHARDING\n  tables:\n    t:\n      actualDataNodes: ds.t_${0..1}\n"
    "      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: m}}\n"
    "  shardingAlgorithms: {m: {type: INLINE, props: {algorithm-expression: 't_${id % 2}'}}}\n"
)


def load(columns: str, encryptors: str = ENCRYPTORS, more: str = "", database: str = "shop") -> RuleSet:
    text = (
        f"databaseName: {database}\ndataSources:\n  ds: {{url: 'jdbc:mysql://{database}:3306/s', username: root}}\n"
        f"rules:\n{more}- !ENCRYPT\n  tables:\n    T:\n      columns:\n{columns}  encryptors:\n{encryptors}"
    )
    files = {"global.yaml": GLOBAL, f"database-{database}.yaml": text}
    return load_configuration(files, lambda kind, name: SECRETS.get((kind, name))).databases[database]


def mistakes(columns: str, encryptors: str = ENCRYPTORS, more: str = "") -> list[str]:
    with pytest.raises(ConfigurationError) as found:
        load(columns, encryptors, more)
    return [f"{one.key_path.partition('.')[2]}: {one.message}; {one.fix}" for one in found.value.mistakes]


def test_a_column_and_what_it_is_kept_in() -> None:
    table = load(
        "        Name: {cipher: {name: name_cipher, encryptorName: gcm}, assistedQuery: {name: name_eq, encryptorName: md5},\n"
        "               likeQuery: {name: name_like, encryptorName: like}, dataType: VARCHAR(60)}\n"
        "        email: {cipher: {name: email, encryptorName: aes}}\n"
        "        note: {cipher: {name: note_cipher, encryptorName: gcm}, dataType: TEXT, plain: true}\n"
    ).encrypted["t"]
    name, email, note = table.columns
    assert name.stored == ("name_cipher", "name_eq", "name_like")
    assert name.equality is name.assisted
    assert email.equality is email.cipher
    assert email.type.declared == "varchar(255)"
    assert (note.equality, note.plain) == (None, True)
    assert table.hidden == {"name_cipher", "name_eq", "name_like", "note_cipher"}
    assert name.cipher.encryptor.encrypt("x", bytes(12)).startswith("k2:")
    assert name.cipher.encryptor.decrypt(name.cipher.encryptor.encrypt("x", bytes(12))) == "x"
    assert "enough" not in repr(table)


def test_encrypted_columns_of_joined_databases_are_known_by_their_tables() -> None:
    one, other = (
        load("        c: {cipher: {name: c, encryptorName: aes}}\n", database=name) for name in ("a", "b")
    )
    joint = join([one, other]).rule_set
    assert set(joint.encrypted) == {joint.key("a", "t"), joint.key("b", "T")}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            "        c: {cipher: {name: c, encryptorName: aex}}\n",
            "tables.T.columns.c.cipher.encryptorName: unknown encryptor 'aex'; did you mean 'aes'?",
        ),
        (
            "        c: {cipher: {name: c, encryptorName: md5}}\n",
            "tables.T.columns.c.cipher.encryptorName: what 'md5' makes cannot be decrypted; use AES or AES_GCM",
        ),
        (
            "        c: {cipher: {name: c, encryptorName: aes}, assistedQuery: {name: d, encryptorName: gcm}}\n",
            "tables.T.columns.c.assistedQuery.encryptorName: what 'gcm' makes is different each time; use HMAC_SHA256 or MD5",
        ),
        (
            "        c: {cipher: {name: c, encryptorName: aes}, assistedQuery: {name: d, encryptorName: like}}\n",
            "tables.T.columns.c.assistedQuery.encryptorName: what 'like' makes finds other values too; use it for likeQuery",
        ),
        (
            "        c: {cipher: {name: c, encryptorName: aes}, likeQuery: {name: d, encryptorName: aes}}\n",
            "tables.T.columns.c.likeQuery.encryptorName: what 'aes' makes is of no use to LIKE; use CHAR_DIGEST_LIKE",
        ),
        (
            "        c: {cipher: {name: c, encryptorName: aes}, likeQuery: {name: d, encryptorName: like}, dataType: INT}\n",
            "tables.T.columns.c.likeQuery: LIKE is for texts; remove likeQuery",
        ),
        (
            "        c: {cipher: {name: c, encryptorName: aes}, dataType: BINARY(5)}\n",
            (
                "tables.T.columns.c.dataType: a column of type 'BINARY(5)' cannot be encrypted; use one of CHAR(n), VARCHAR(n), TEXT, integers, "
                "DECIMAL(p,s), DATE and DATETIME(p), without a collation: texts compare as under utf8mb4_nopad_bin or "
                "utf8mb4_0900_bin"
            ),
        ),
        (
            "        c: {cipher: {name: x, encryptorName: aes}, assistedQuery: {name: X, encryptorName: md5}}\n",
            "tables.T.columns.c: the column 'X' has another use already; rename it",
        ),
        (
            "        c: {cipher: {name: c, encryptorName: aes}, plain: true}\n",
            "tables.T.columns.c: the column 'c' has another use already; rename it",
        ),
        (
            "        c: {cipher: {name: d, encryptorName: aes}}\n        d: {cipher: {name: e, encryptorName: aes}}\n",
            "tables.T.columns.c: the column 'd' has another use already; rename it",
        ),
    ],
)
def test_mistakes_of_columns(columns: str, expected: str) -> None:
    assert mistakes(columns) == [expected]


@pytest.mark.parametrize(
    ("encryptor", "expected"),
    [
        (
            "{type: RSA}",
            "type: unknown encryptor 'RSA'; use one of AES, AES_GCM, CHAR_DIGEST_LIKE, HMAC_SHA256, MD5",
        ),
        ("{type: AES}", "props: 'aes-key-value' is missing; add 'aes-key-value' under props, or keys"),
        (
            "{type: AES, props: {aes-key-value: x, digest-algorithm-name: SHA-2}}",
            (
                "props.digest-algorithm-name: unknown digest 'SHA-2'; use one of MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512, "
                "SHA3-224, SHA3-256, SHA3-384, SHA3-512"
            ),
        ),
        ("{type: AES_GCM}", "keys: there is no key; add one with id and value"),
        (
            "{type: AES_GCM, keys: [{id: k1, value: short}]}",
            "keys[0].value: the key has fewer than 16 characters; take a long random text",
        ),
        (
            "{type: AES_GCM, keys: [{id: 'k:1', value: '${env:KEY}'}]}",
            "keys[0].id: 'k:1' is no id, or another key's; write letters and digits",
        ),
        ("{type: MD5, props: {pepper: x}}", "props.pepper: unknown property 'pepper'; use one of salt"),
        ("{type: MD5, keys: [{id: k1, value: '${env:KEY}'}]}", "keys: MD5 takes no keys; remove them"),
        (
            "{type: CHAR_DIGEST_LIKE, props: {mask: x}}",
            "props.mask: 'x' is not an integer; write digits only",
        ),
    ],
)
def test_mistakes_of_encryptors(encryptor: str, expected: str) -> None:
    found = mistakes(
        "        c: {cipher: {name: c, encryptorName: ok}}\n",
        f"    ok: {{type: AES, props: {{aes-key-value: x}}}}\n    e: {encryptor}\n",
    )
    assert found == [f"encryptors.e.{expected}"]


def test_a_key_that_is_not_there_is_reported_without_its_text() -> None:
    found = mistakes(
        "        c: {cipher: {name: c, encryptorName: e}}\n",
        "    e: {type: AES_GCM, keys: [{id: a, value: '${env:NONE}'}, {id: b, value: '${command:false}'}]}\n",
    )
    assert found == [
        "encryptors.e.keys[0].value: environment variable 'NONE' is not set; set it before starting",
        "encryptors.e.keys[0].value: the key has fewer than 16 characters; take a long random text",
        "encryptors.e.keys[1].value: the key command 'false' has failed; run it by hand: it prints the key, within ten seconds",
        "encryptors.e.keys[1].value: the key has fewer than 16 characters; take a long random text",
    ]


def test_a_mirror_must_be_encrypted_too() -> None:
    def of(database: str, columns: str) -> str:
        return (
            f"databaseName: {database}\ndataSources:\n  ds: {{url: 'jdbc:mysql://{database}:3306/s', username: root}}\n"
            f"rules:\n- !ENCRYPT\n  tables: {{t: {{columns: {columns}}}}}\n  encryptors: {{aes: {{type: AES, props: {{aes-key-value: x}}}}}}\n"
        )

    column = "{c: {cipher: {name: c, encryptorName: aes}}}"
    files = {
        "global.yaml": GLOBAL + "mirroring: {one: {target: two}}\n",
        "database-one.yaml": of("one", column),
        "database-two.yaml": of("two", column),
    }
    load_configuration(files, lambda kind, name: None)
    other = column.replace("{c:", "{d:").replace("name: c,", "name: d,")
    with pytest.raises(ConfigurationError, match=r"'t\.c' is encrypted, and not in 'two'"):
        load_configuration(files | {"database-two.yaml": of("two", other)}, lambda kind, name: None)


def test_other_rules() -> None:
    masked = (
        "- !MASK\n  tables: {t: {columns: {c: {maskAlgorithm: m}}}}\n  maskAlgorithms: {m: {type: MD5}}\n"
    )
    assert mistakes("        id: {cipher: {name: id_cipher, encryptorName: aes}}\n", more=SHARDED) == [
        "tables.T.columns.id: 'id' decides where rows lie, or is generated; shard by another column, or leave this one as it is"
    ]
    assert mistakes("        C: {cipher: {name: x, encryptorName: aes}}\n", more=masked) == [
        "tables.T.columns.C: 'C' is masked too, and servers that mask know no plain text; remove one of both rules"
    ]
