"""What a server is, by the version it greets with."""

from __future__ import annotations

import pytest

from dbmesh.backend.connection import Product, product_of


@pytest.mark.parametrize(
    ("version", "product"),
    [
        ("10.11.6-MariaDB-0+deb12u1", Product.MARIADB),
        ("11.8.2-mariadb", Product.MARIADB),
        ("8.0.36", Product.MYSQL),
        ("9.7.0-commercial", Product.MYSQL),
        ("", Product.OTHER),
    ],
)
def test_a_server_tells_by_its_version_what_it_is(version: str, product: Product) -> None:
    assert product_of(version) is product
