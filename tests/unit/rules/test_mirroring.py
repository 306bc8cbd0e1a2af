"""The section `mirroring`: its values and its mistakes."""

from __future__ import annotations

import pytest

from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mirroring import Mirror
from dbmesh.rules.mistakes import ConfigurationError

USERS = "authority:\n  users:\n  - {user: root@%, password: root}\n"


def load(mirroring: str) -> tuple[Mirror, ...]:
    files = {"global.yaml": f"{USERS}mirroring: {mirroring}\n"}
    for name in ("shop", "following"):
        source = f"{{ds: {{url: 'jdbc:mysql://h:3306/{name}', username: root}}}}"
        files[f"database-{name}.yaml"] = f"databaseName: {name}\ndataSources: {source}\n"
    return load_configuration(files, lambda kind, name: None).mirrors


def test_a_mirror_is_of_reads_and_of_all_of_them_unless_it_says_otherwise() -> None:
    assert load("{Shop: {target: Following}}") == (
        Mirror("shop", "following", 1.0, writes=False, queue=1000, concurrency=16, timeout=10.0),
    )
    (mirror,) = load(
        "{shop: {target: following, percent: 2.5, statements: ALL, queue: 5, concurrency: 2, timeoutMilliseconds: 50}}"
    )
    assert mirror == Mirror("shop", "following", 0.025, writes=True, queue=5, concurrency=2, timeout=0.05)
    assert load("") == ()


@pytest.mark.parametrize(
    ("mirroring", "expected"),
    [
        ("{shop: {target: elsewhere}}", "mirroring.shop.target: unknown logic database 'elsewhere'"),
        ("{other: {target: shop}}", "mirroring.other: unknown logic database 'other'"),
        ("{shop: {target: SHOP}}", "mirroring.shop.target: 'shop' cannot be its own mirror"),
        (
            "{shop: {target: following, statements: some}}",
            "mirroring.shop.statements: 'some' is neither reads nor all",
        ),
        ("{shop: {target: following, percent: 101}}", "mirroring.shop.percent"),
        ("{shop: {target: following, que: 5}}", "mirroring.shop.que: unknown key 'que'"),
        ("{shop: {}}", "mirroring.shop.target: 'target' is missing"),
        ("[shop]", "'mirroring' must be a mapping"),
    ],
)
def test_mistakes(mirroring: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        load(mirroring)
    assert any(expected in f"{one.key_path}: {one.message}" for one in found.value.mistakes), (
        found.value.mistakes
    )
