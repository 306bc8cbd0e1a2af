"""The demo's second act from its servers to its summary, over few orders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dbmesh.cli.demo_reshard import run_reshard_demo
from dbmesh.cli.output import EXIT_OK, Failure

pytestmark = pytest.mark.integration


def test_tables_move_while_clients_write_and_nobody_sees_anything_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_reshard_demo("127.0.0.1", 0, tmp_path, orders=200)
    said = capsys.readouterr().out
    assert code == EXIT_OK, said
    assert re.search(r"errors +0\n", said)
    assert re.search(r"rows moved +[1-9]", said)
    assert re.search(r"at the switches +cutover \S+ ms, rollback \S+ ms, cutover \S+ ms\n", said)
    assert [line for line in said.splitlines() if line.startswith("finished:")]
    names = {path.stem for path in tmp_path.rglob("t_order_*.frm") if "item" not in path.stem}
    assert names == {f"t_order_{number}" for number in range(4)}
    log = next(tmp_path.rglob("sidecar.log")).read_text()
    assert "Traceback" not in log


def test_missing_servers_are_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        Failure, match=r"--reshard .* needs mariadbd and mariadb-install-db on PATH: install mariadb-server"
    ):
        run_reshard_demo("127.0.0.1", 0, tmp_path / "data")
    assert not (tmp_path / "data").exists()
