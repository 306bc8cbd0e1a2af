"""The listener's certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from dbmesh.server.tls_context import server_tls_context


def test_a_self_signed_certificate_is_made_when_none_is_given() -> None:
    context = server_tls_context("", "")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No such file or directory: '.*none\.pem'"):
        server_tls_context(str(tmp_path / "none.pem"), "")
