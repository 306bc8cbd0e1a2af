"""Opens the store a configuration asks for.

Decides which kind it is, where its file is, and what an operator is told when it cannot be opened.
"""

from __future__ import annotations

from pathlib import Path

from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.lease_clock import lease_clock
from dbmesh.governance.namespaced import Namespaced
from dbmesh.governance.remembering import Remembering
from dbmesh.governance.store import Store, StoreError
from dbmesh.rules.repositories import NAMESPACE, EtcdRepository, SQLiteRepository
from dbmesh.rules.ruleset import Configuration

STORE_FILE = "dbmesh-store.db"
"""The embedded store's file, in the configuration's directory when no other is named."""


SNAPSHOT_FILE = "dbmesh-snapshot.json"
"""What etcd said last, in the configuration's directory."""


async def open_store(
    configuration: Configuration, directory: Path, *, remembering: bool = False
) -> Store | None:
    """The store, None when nothing in the configuration needs one. Relative paths are from `directory`. `remembering`: what a
    store on other nodes said last is kept on disk, and serves when it is away. Raises StoreError."""
    repository = configuration.repository or SQLiteRepository()
    if isinstance(repository, EtcdRepository):
        return await _open_etcd(repository, directory, remembering=remembering)
    path = directory / (repository.path or STORE_FILE)
    # Rules made under an earlier configuration still hold.
    if not needs_store(configuration) and not path.exists():
        return None
    try:
        return Namespaced(await EmbeddedStore.open(path, lease_clock), NAMESPACE)
    except StoreError as error:
        raise StoreError(f"{error}; name a file in mode.repository.props.path of global.yaml") from error


async def _open_etcd(repository: EtcdRepository, directory: Path, *, remembering: bool) -> Store:
    # Imported where it is used: a mesh without etcd starts faster.
    from dbmesh.governance.etcd import EtcdSettings, EtcdStore

    files = (repository.ca, repository.certificate, repository.key)
    ca, certificate, key = (directory / name if name else None for name in files)
    settings = EtcdSettings(
        repository.servers,
        repository.user,
        repository.password,
        repository.seconds,
        repository.tls,
        ca,
        certificate,
        key,
    )
    try:
        etcd = await EtcdStore.make(settings)
        store = Remembering(Namespaced(etcd, repository.namespace), directory / SNAPSHOT_FILE)
        try:
            await (store.begin() if remembering else etcd.check())
        except BaseException:
            await etcd.close()
            raise
    except StoreError as error:
        raise StoreError(f"{error}; see mode.repository.props of global.yaml") from error
    return store


def needs_store(configuration: Configuration) -> bool:
    """Whether rules, numbers or locks are made while the mesh runs, limits hold for all of it, or a store is asked for."""
    shared = any(limit.shared for limit in configuration.protection.limits)
    if configuration.repository is not None or configuration.record_locks or shared:
        return True
    return any(
        rule_set.auto_shards
        or any(config.type == "AUTO_INCREMENT" for config in rule_set.key_generators.values())
        for rule_set in configuration.databases.values()
    )
