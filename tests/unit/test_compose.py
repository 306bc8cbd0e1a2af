"""docker-compose.yml and the files it mounts fit together."""

from __future__ import annotations

from pathlib import Path

import yaml

from dbmesh.rules.loader import load_configuration
from dbmesh.rules.repositories import EtcdRepository

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]


def test_what_is_mounted_and_waited_for_is_there() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            there = (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            assert there, f"{name}: {source}"
        assert set(service.get("depends_on", ())) <= SERVICES.keys(), name
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(set(ports)) == len(ports)


def test_the_mesh_of_three() -> None:
    sidecars = {name: one for name, one in SERVICES.items() if name.startswith("dbmesh-")}
    assert [one["hostname"] for one in sidecars.values()] == list(sidecars), "each in a place of its own"
    files = {path.name: path.read_text() for path in (ROOT / "mesh_rules").glob("*.yaml")}
    for one in sidecars.values():
        assert {name for name in files if any(f"/{name}:ro" in volume for volume in one["volumes"])} == set(
            files
        )
    environment = sidecars["dbmesh-0"]["environment"]
    configuration = load_configuration(
        files, lambda kind, name: environment.get(name) if kind == "env" else None
    )
    assert isinstance(configuration.repository, EtcdRepository)
    assert configuration.repository.servers == ("etcd:2379",)
    hosts = {one.host for one in configuration.databases["shop"].data_sources.values()}
    assert hosts <= SERVICES.keys()
