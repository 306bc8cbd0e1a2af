"""The store in etcd, for a mesh of several nodes.

Decides how the store port's promises are kept with etcd's v3 interface (etcd documentation, "API reference"), and which member
of the cluster is asked. The package aetcd brings the interface's messages and stubs; its own client knows one member and no
TLS. Every request goes to the member in use, over a connection that is ready before the request is made: one that
never left is tried on the next member, one whose answer is lost raises StoreUnavailable, since it may have had its effect.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from aetcd import rpc

from dbmesh.governance.store import (
    ABSENT,
    Changes,
    Compacted,
    Conflict,
    Entry,
    Guard,
    LeaseLost,
    Snapshot,
    StoreError,
    StoreUnavailable,
    Write,
    after_prefix,
    check_size,
)

PAGE = 1000
"""Entries read by one request of a range."""

_OPTIONS = (
    # A member that hangs without closing its connections is noticed after 10 + 3 seconds; etcd allows a ping every 5.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A watch that catches up gets as much as has changed.
    ("grpc.max_receive_message_length", -1),
)

_NEEDS_LEADER = ("hasleader", "true")
"""A member that is cut off from the others refuses at once instead of waiting."""

_LOST = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)


_Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """Where a cluster is and how one talks to it. `servers` are host:port, `seconds` is the time one request may take. With
    `tls` connections are encrypted; `ca` verifies the members (None: the system's authorities), `certificate` and `key` are
    the mesh's own, all PEM files."""

    servers: tuple[str, ...]
    user: str = ""
    password: str = ""
    seconds: float = 3.0
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class _Member:
    """One member of the cluster: a channel and the services behind it."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None) -> None:
        self.address = address
        self.channel = (
            grpc.aio.insecure_channel(address, options=_OPTIONS)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
        )
        self.values = rpc.KVStub(self.channel)
        self.leases = rpc.LeaseStub(self.channel)
        self.watches = rpc.WatchStub(self.channel)
        self.accounts = rpc.AuthStub(self.channel)
        self.token: str | None = None


class EtcdStore:
    """A `Store` in an etcd cluster."""

    def __init__(self, settings: EtcdSettings, credentials: grpc.ChannelCredentials | None) -> None:
        self._settings = settings
        self._members = [_Member(server, credentials) for server in settings.servers]
        self._turn = 0
        self._waits: set[asyncio.Timeout] = set()
        self._closed = False

    @classmethod
    async def make(cls, settings: EtcdSettings) -> EtcdStore:
        """A store that has not asked any member yet. Raises StoreUnavailable for a PEM file that cannot be read."""
        return cls(settings, await asyncio.to_thread(_credentials, settings) if settings.tls else None)

    async def check(self) -> None:
        """Ask once. Raises StoreError."""
        await self.get("/")

    async def get(self, key: str) -> Entry | None:
        """See `Store`."""
        answer = await self._call("values.Range", rpc.RangeRequest(key=key.encode()), again=True)
        return _entry(answer.kvs[0]) if answer.kvs else None

    async def range(self, prefix: str) -> Snapshot:
        """See `Store`."""
        start, end = prefix.encode(), after_prefix(prefix).encode()
        entries: list[Entry] = []
        revision = 0
        while True:
            request = rpc.RangeRequest(key=start, range_end=end, limit=PAGE, revision=revision)
            answer = await self._call("values.Range", request, again=True)
            revision = revision or answer.header.revision
            entries += map(_entry, answer.kvs)
            if not answer.more:
                return Snapshot(revision, tuple(entries))
            start = answer.kvs[-1].key + b"\0"

    async def commit(self, writes: Sequence[Write], guards: Sequence[Guard] = ()) -> int:
        """See `Store`."""
        check_size(writes, guards)
        expected = {write.key: write.expected for write in writes if write.expected is not None}
        expected.update({guard.key: guard.expected for guard in guards})
        request = rpc.TxnRequest(
            compare=[_compare(key, revision) for key, revision in expected.items()],
            success=[_operation(write) for write in writes],
            failure=[rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode())) for key in expected],
        )
        answer = await self._call("values.Txn", request)
        if not answer.succeeded:
            raise Conflict(_difference(expected, answer.responses))
        return int(answer.header.revision)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Changes]:
        """See `Store`."""
        silent = 0
        while not self._closed:
            async for answer in self._answers(prefix, after):
                silent = 0
                if answer.compact_revision:
                    raise Compacted(f"changes up to revision {answer.compact_revision} are no longer kept")
                if answer.canceled:
                    raise StoreError(f"etcd ended the watch of {prefix}: {answer.cancel_reason}")
                if answer.events:
                    # The header of an answer may be ahead of the changes in it.
                    after = int(answer.events[-1].kv.mod_revision)
                    yield Changes(after, tuple(map(_change, answer.events)))
            silent += 1
            if silent > len(self._members):
                raise StoreUnavailable(f"no member of etcd keeps up a watch of {prefix}")

    async def _answers(self, prefix: str, after: int) -> AsyncIterator[Any]:
        """What one stream tells, until its member is lost. The first answer says that the watch has begun."""
        member = await self._ready_member()
        metadata = await self._metadata(member)
        request = rpc.WatchCreateRequest(
            key=prefix.encode(), range_end=after_prefix(prefix).encode(), start_revision=after + 1
        )
        stream = member.watches.Watch(metadata=metadata)
        try:
            # A stream whose connection goes before it begins may never say so.
            async with self._while_open(), _errors(member), asyncio.timeout(self._settings.seconds):
                await stream.write(rpc.WatchRequest(create_request=request))
            while not self._closed:
                async with self._while_open(), _errors(member):
                    answer = await stream.read()
                if answer is grpc.aio.EOF:
                    return
                yield answer
        except StoreUnavailable:
            self._next_after(member)
        except TimeoutError:
            return
        finally:
            stream.cancel()

    @asynccontextmanager
    async def _while_open(self) -> AsyncIterator[None]:
        """Raises TimeoutError when the store is closed in the block: gRPC does not wake everybody who waits for a stream that
        is cancelled."""
        async with asyncio.timeout(None) as end:
            self._waits.add(end)
            try:
                yield
            finally:
                self._waits.discard(end)

    async def grant(self, seconds: float) -> int:
        """See `Store`. etcd counts in whole seconds and has a shortest time, two seconds by its defaults."""
        request = rpc.LeaseGrantRequest(TTL=max(1, math.ceil(seconds)))
        return int((await self._call("leases.LeaseGrant", request)).ID)

    async def keep_alive(self, lease: int) -> None:
        """See `Store`."""

        async def ask(member: _Member, metadata: _Metadata) -> Any:
            stream = member.leases.LeaseKeepAlive(metadata=metadata)
            try:
                async with asyncio.timeout(self._settings.seconds):
                    await stream.write(rpc.LeaseKeepAliveRequest(ID=lease))
                    return await stream.read()
            finally:
                stream.cancel()

        answer = await self._ask(ask, again=True)
        if answer is grpc.aio.EOF or answer.TTL <= 0:
            raise LeaseLost(f"lease {lease} has ended")

    async def revoke(self, lease: int) -> None:
        """See `Store`."""
        try:
            await self._call("leases.LeaseRevoke", rpc.LeaseRevokeRequest(ID=lease), again=True)
        except LeaseLost:
            return

    async def close(self) -> None:
        """See `Store`."""
        self._closed = True
        for end in self._waits:
            end.reschedule(asyncio.get_running_loop().time())
        for member in self._members:
            await member.channel.close()

    async def _call(self, method: str, request: object, *, again: bool = False) -> Any:
        """The answer of a service's method, named `service.method`. See `_ask`."""
        service, _, name = method.partition(".")

        async def ask(member: _Member, metadata: _Metadata) -> Any:
            call = getattr(getattr(member, service), name)
            return await call(request, metadata=metadata, timeout=self._settings.seconds)

        return await self._ask(ask, again=again)

    async def _ask(self, ask: Callable[[_Member, _Metadata], Awaitable[Any]], *, again: bool = False) -> Any:
        """The answer to a request. With `again` it may be made twice, and is made to every member until one answers."""
        tries = len(self._members) if again else 1
        while True:
            tries -= 1
            member = await self._ready_member()
            try:
                return await self._ask_one(member, ask)
            except StoreUnavailable:
                self._next_after(member)
                if tries <= 0:
                    raise

    async def _ask_one(self, member: _Member, ask: Callable[[_Member, _Metadata], Awaitable[Any]]) -> Any:
        metadata = await self._metadata(member)
        try:
            async with _errors(member):
                return await ask(member, metadata)
        except _TokenRefused:
            # Tokens end (etcd's --auth-token-ttl); a request with one was not carried out.
            member.token = None
        metadata = await self._metadata(member)
        async with _errors(member):
            return await ask(member, metadata)

    async def _ready_member(self) -> _Member:
        """The member in use, or the next one whose connection is ready. Raises StoreUnavailable."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        for _ in self._members:
            member = self._members[self._turn]
            try:
                async with asyncio.timeout(self._settings.seconds):
                    await member.channel.channel_ready()
            except TimeoutError:
                self._next_after(member)
                continue
            return member
        raise StoreUnavailable(f"etcd cannot be reached at {', '.join(self._settings.servers)}")

    def _next_after(self, member: _Member) -> None:
        """Use another member from now on, unless another caller has seen to it."""
        if self._members[self._turn] is member:
            self._turn = (self._turn + 1) % len(self._members)

    async def _metadata(self, member: _Member) -> _Metadata:
        if not self._settings.user:
            return (_NEEDS_LEADER,)
        if member.token is None:
            request = rpc.AuthenticateRequest(name=self._settings.user, password=self._settings.password)
            async with _errors(member):
                answer = await member.accounts.Authenticate(request, timeout=self._settings.seconds)
            member.token = str(answer.token)
        return (_NEEDS_LEADER, ("token", member.token))


class _TokenRefused(StoreError):
    """The account's token has ended."""


@asynccontextmanager
async def _errors(member: _Member) -> AsyncIterator[None]:
    """etcd's errors in the store's terms (etcd documentation, "API reference"; source file rpctypes/error.go)."""
    try:
        yield
    except TimeoutError as error:
        raise StoreUnavailable(f"etcd at {member.address} does not answer") from error
    except grpc.aio.AioRpcError as error:
        details = error.details() or error.code().name
        text = f"etcd at {member.address}: {details}"
        if error.code() in _LOST:
            raise StoreUnavailable(text) from error
        if "lease not found" in details:
            raise LeaseLost(text) from error
        if "required revision has been compacted" in details:
            raise Compacted(text) from error
        if "invalid auth token" in details:
            raise _TokenRefused(text) from error
        raise StoreError(text) from error


def _credentials(settings: EtcdSettings) -> grpc.ChannelCredentials:
    def read(path: Path | None) -> bytes | None:
        try:
            return None if path is None else path.read_bytes()
        except OSError as error:
            raise StoreUnavailable(f"the file {path} cannot be read: {error.strerror}") from error

    return grpc.ssl_channel_credentials(read(settings.ca), read(settings.key), read(settings.certificate))


def _entry(found: Any) -> Entry:
    return Entry(found.key.decode(), found.value, int(found.mod_revision), int(found.lease))


def _compare(key: str, revision: int) -> Any:
    """A key that does not exist has revision 0, as ABSENT says."""
    return rpc.Compare(
        key=key.encode(), target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=revision
    )


def _operation(write: Write) -> Any:
    if write.value is None:
        return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=write.key.encode()))
    put = rpc.PutRequest(key=write.key.encode(), value=write.value, lease=write.lease)
    return rpc.RequestOp(request_put=put)


def _difference(expected: dict[str, int], responses: Sequence[Any]) -> str:
    """The first key that has another revision than a commit expected."""
    for (key, revision), response in zip(expected.items(), responses, strict=True):
        found = response.response_range.kvs
        actual = int(found[0].mod_revision) if found else ABSENT
        if actual != revision:
            return f"{key} is at revision {actual}, not {revision}"
    raise AssertionError("a commit was refused whose keys are as expected")


def _change(event: Any) -> Write:
    if event.type == event.DELETE:
        return Write(event.kv.key.decode(), None)
    return Write(event.kv.key.decode(), event.kv.value, lease=int(event.kv.lease))
