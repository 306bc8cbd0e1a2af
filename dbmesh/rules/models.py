"""The shape of the configuration files as pydantic models: keys, types, defaults.

Decides which keys exist; every other key is a mistake. Meaning (does the algorithm exist, is the column named) is checked
by the builders. Field names are ShardingSphere's camelCase keys through aliases. The JSON Schema comes from here.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel


class Section(BaseModel):
    """A mapping of the files: unknown keys are refused, keys are camelCase."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=True,
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
    )


def _to_list(value: Any) -> Any:
    """`a,b` as [a, b]; ShardingSphere's files use both."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _to_mapping(value: Any) -> Any:
    """An empty mapping where a key is present without a value (`props:`)."""
    return {} if value is None else value


Names = Annotated[
    list[str],
    BeforeValidator(_to_list),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]
"""A list of names, or one text with commas."""

Properties = Annotated[
    dict[str, str],
    BeforeValidator(_to_mapping),
    WithJsonSchema(
        {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean"]}}
    ),
]
"""Algorithm properties: every value is kept as the text in the file."""


class StandardStrategy(Section):
    """One sharding column. Without `shardingColumn` the rule's `defaultShardingColumn` holds."""

    sharding_column: str | None = Field(
        default=None, description="The sharding column; defaultShardingColumn when missing."
    )
    sharding_algorithm_name: str = Field(description="A key of shardingAlgorithms.")


class ComplexStrategy(Section):
    """Several sharding columns."""

    sharding_columns: Names = Field(description="Sharding columns, separated by commas.")
    sharding_algorithm_name: str = Field(description="A key of shardingAlgorithms.")


class HintStrategy(Section):
    """Values come from SQL hints."""

    sharding_algorithm_name: str = Field(description="A key of shardingAlgorithms.")


class NoneStrategy(Section):
    """No sharding on this level."""


class StrategySection(Section):
    """Exactly one of the four kinds."""

    standard: StandardStrategy | None = None
    complex: ComplexStrategy | None = None
    hint: HintStrategy | None = None
    none: Annotated[NoneStrategy, BeforeValidator(_to_mapping)] | None = None


class KeyGenerateStrategy(Section):
    """Which column the mesh fills when an INSERT leaves it out, and how."""

    column: str | None = Field(default=None, description="The generated column.")
    key_generator_name: str | None = Field(default=None, description="A key of keyGenerators.")


class NamedKeyGenerateStrategy(Section):
    """The newer shape: an entry of `keyGenerateStrategies`."""

    key_generate_type: Literal["column"] = "column"
    key_generator_name: str = Field(description="A key of keyGenerators.")
    logic_table: str = Field(description="The logic table it belongs to.")
    key_generate_column: str = Field(description="The generated column.")


class AuditStrategy(Section):
    """Auditors that look at a statement before it runs."""

    auditor_names: Names = Field(description="Keys of auditors.")
    allow_hint_disable: bool = Field(
        default=True, description="Whether a SQL hint may switch the auditors off."
    )


class TableSection(Section):
    """A sharded table with given data nodes."""

    actual_data_nodes: str | None = Field(
        default=None, description="Data nodes, e.g. ds_${0..1}.t_order_${0..1}."
    )
    database_strategy: StrategySection | None = None
    table_strategy: StrategySection | None = None
    key_generate_strategy: KeyGenerateStrategy | None = None
    audit_strategy: AuditStrategy | None = None


class AutoTableSection(Section):
    """A sharded table whose data nodes follow from its algorithm."""

    actual_data_sources: str | None = Field(
        default=None, description="Data sources, e.g. ds_${0..1}; all when missing."
    )
    sharding_strategy: StrategySection | None = None
    key_generate_strategy: KeyGenerateStrategy | None = None
    audit_strategy: AuditStrategy | None = None


class TypeAndProperties(Section):
    """An algorithm, key generator or auditor."""

    type: str = Field(description="Its type, see docs/RULES.md.")
    props: Properties = Field(default_factory=dict, description="Its properties.")


class ShardingSection(Section):
    """The item `!SHARDING`."""

    tables: dict[str, TableSection] = Field(default_factory=dict)
    auto_tables: dict[str, AutoTableSection] = Field(default_factory=dict)
    binding_tables: list[str] = Field(
        default_factory=list, description="Each entry: logic tables separated by commas."
    )
    default_database_strategy: StrategySection | None = None
    default_table_strategy: StrategySection | None = None
    default_sharding_column: str | None = None
    default_key_generate_strategy: KeyGenerateStrategy | None = None
    default_audit_strategy: AuditStrategy | None = None
    key_generate_strategies: dict[str, NamedKeyGenerateStrategy] = Field(default_factory=dict)
    sharding_algorithms: dict[str, TypeAndProperties] = Field(default_factory=dict)
    key_generators: dict[str, TypeAndProperties] = Field(default_factory=dict)
    auditors: dict[str, TypeAndProperties] = Field(default_factory=dict)


class BroadcastSection(Section):
    """The item `!BROADCAST`."""

    tables: Names = Field(description="Tables with the same rows on every data source.")


class SingleSection(Section):
    """The item `!SINGLE`."""

    tables: Names = Field(default_factory=list, description="*.*, ds.* or ds.table.")
    default_data_source: str | None = Field(default=None, description="Where new single tables are created.")


class ReplicaGroupSection(Section):
    """A primary and its replicas, which other rules name as one data source."""

    write_data_source_name: str = Field(description="The primary.")
    read_data_source_names: Names = Field(description="The replicas.")
    transactional_read_query_strategy: str = Field(
        default="PRIMARY",
        description="Where a transaction reads before it writes: PRIMARY, FIXED (one replica) or DYNAMIC (any replica).",
    )
    load_balancer_name: str | None = Field(
        default=None, description="A key of loadBalancers; ROUND_ROBIN when missing."
    )
    causal_reads: str = Field(
        default="session",
        description="What a replica must have before it is read: session (the session's own writes), global (all) or none.",
    )
    causal_reads_timeout_milliseconds: int = Field(
        default=1000, ge=1, description="Longest wait for a replica to catch up; then the primary is read."
    )
    max_replica_lag_seconds: float = Field(
        default=10, ge=0, description="A replica further behind is not read; 0: replication is not looked at."
    )
    without_replica: str = Field(
        default="PRIMARY", description="Reads when no replica can be read: PRIMARY or FAIL."
    )
    check_interval_milliseconds: int = Field(
        default=1000, ge=10, description="Time between two looks at each server of the group."
    )
    failover_wait_milliseconds: int = Field(
        default=10_000, ge=0, description="Longest wait of a statement for a primary."
    )
    failover_waiting_statements: int = Field(
        default=1000, ge=0, description="Most statements that wait for a primary."
    )
    retry_percent: float = Field(
        default=20,
        ge=0,
        le=100,
        description="Most reads that are sent again after a server failed them, of all reads of the last 10 seconds.",
    )
    min_retries_per_second: float = Field(
        default=10, ge=0, description="Reads that may be sent again in any case, each second."
    )


class ReadwriteSplittingSection(Section):
    """The item `!READWRITE_SPLITTING`."""

    data_source_groups: dict[str, ReplicaGroupSection] = Field(min_length=1)
    load_balancers: dict[str, TypeAndProperties] = Field(
        default_factory=dict, description="ROUND_ROBIN, RANDOM, WEIGHT or LEAST_LATENCY."
    )


class AutoShardSection(Section):
    """Tables without a rule are sharded when they are created."""

    by: Literal["primaryKey"] = Field(
        default="primaryKey", description="The sharding column: the first one of the primary key."
    )
    shards: int = Field(ge=1, le=4096, description="Actual tables of a table, over all data sources.")


class MeshSection(Section):
    """The item `!MESH`: what ShardingSphere does not have."""

    auto_shard: AutoShardSection | None = Field(
        default=None, description="Shards every table that CREATE TABLE makes and no rule names."
    )


class MaskedColumnSection(Section):
    """One masked column."""

    mask_algorithm: str = Field(description="A key of maskAlgorithms.")
    masked_for: Names | None = Field(
        default=None, description="Users and roles who read masked values; the table's, else everybody."
    )
    exempt: Names | None = Field(
        default=None, description="Users and roles who read the values as they are; the table's when missing."
    )


class MaskedTableSection(Section):
    """The masked columns of a table."""

    columns: dict[str, MaskedColumnSection] = Field(default_factory=dict)
    masked_for: Names | None = Field(
        default=None, description="Users and roles who read masked values; everybody when missing."
    )
    exempt: Names | None = Field(default=None, description="Users and roles who read the values as they are.")


class MaskSection(Section):
    """The item `!MASK`."""

    tables: dict[str, MaskedTableSection] = Field(default_factory=dict)
    mask_algorithms: dict[str, TypeAndProperties] = Field(default_factory=dict)
    predicates: str = Field(
        default="masked", description="What WHERE and ON compare: masked values, or real ones."
    )


class StoredColumnSection(Section):
    """A column of the actual tables, and what its values are made by."""

    name: str = Field(min_length=1, description="Its name.")
    encryptor_name: str = Field(description="A key of encryptors.")


class EncryptedColumnSection(Section):
    """A logic column and the columns it is kept in."""

    cipher: StoredColumnSection = Field(description="Where the encrypted values are.")
    assisted_query: StoredColumnSection | None = Field(
        default=None, description="What = and IN look at; the cipher itself when it is a deterministic one."
    )
    like_query: StoredColumnSection | None = Field(default=None, description="What LIKE looks at.")
    data_type: str = Field(default="VARCHAR(255)", description="The type that clients see.")
    plain: bool = Field(
        default=False,
        description="The column of its own name still has the values as they are: it is read, and all are written.",
    )


class EncryptedTableSection(Section):
    """The encrypted columns of a table."""

    columns: dict[str, EncryptedColumnSection] = Field(default_factory=dict)


class KeySection(Section):
    """One of the keys of an encryptor."""

    id: str = Field(description="What stored values say they were made by.")
    value: str = Field(description="${env:NAME}, ${file:path} or ${command:…}; at least 16 characters.")


class EncryptorSection(TypeAndProperties):
    """What values are encrypted or digested by."""

    keys: list[KeySection] = Field(
        default_factory=list,
        description="All keys that stored values were made by; the last one is used for new ones.",
    )


class EncryptSection(Section):
    """The item `!ENCRYPT`."""

    tables: dict[str, EncryptedTableSection] = Field(default_factory=dict)
    encryptors: dict[str, EncryptorSection] = Field(default_factory=dict)


class DataSourceSection(Section):
    """One data source and its pool."""

    url: str = Field(
        description="jdbc:mysql://host:port/schema?options, mysql://…, postgresql://… or sqlite:path."
    )
    username: str | None = None
    password: str | None = None
    connection_timeout_milliseconds: int = Field(
        default=30_000, ge=1, description="Longest wait for a connection."
    )
    idle_timeout_milliseconds: int = Field(
        default=60_000, ge=0, description="Idle connections above minPoolSize are closed."
    )
    max_lifetime_milliseconds: int = Field(
        default=1_800_000, ge=0, description="Connections are renewed at this age."
    )
    max_pool_size: int = Field(default=50, ge=1, description="Most connections.")
    min_pool_size: int = Field(default=1, ge=0, description="Connections kept open.")
    read_only: bool = Field(default=False, description="Accepted; connections are made read-write.")


class DatabaseFile(Section):
    """A file `database-*.yaml`: one logic database."""

    database_name: str = Field(min_length=1, description="The name clients use.")
    data_sources: dict[str, DataSourceSection] = Field(min_length=1)
    rules: list[Any] = Field(
        default_factory=list,
        description="Items tagged !SHARDING, !BROADCAST, !SINGLE, !READWRITE_SPLITTING, !MASK, !ENCRYPT, !MESH.",
    )


class GrantSection(Section):
    """Privileges and what they are for."""

    privileges: str = Field(description="MySQL's names, each with columns if need be: SELECT, UPDATE (name).")
    on_: str = Field(alias="on", description="*.*, database.* or database.table.")


class CertificateSection(Section):
    """Which client certificates are accepted."""

    subject: str = Field(default="", description="As /C=DE/O=Shop/CN=app; any when empty.")
    issuer: str = Field(default="", description="The same of who has signed it.")


class UserSection(Section):
    """A client account."""

    user: str = Field(description="name or name@host; % and _ match as in MySQL.")
    password: str = Field(default="", description="Plain text, *<40 hex digits> or $A$005$….")
    admin: bool = Field(default=False, description="Opens every database, and the servers behind the mesh.")
    authentication_method_name: str | None = Field(
        None, description="mysql_native_password or caching_sha2_password; the client's choice when missing."
    )
    grants: list[GrantSection] | None = Field(
        None, description="What the account may do, and nothing else, whatever `privilege` says."
    )
    roles: list[str] | None = Field(None, description="Roles granted to it, name or name@host.")
    default_roles: list[str] | None = Field(
        None, description="Those of its roles that are active after a login; all when missing."
    )
    require_tls: bool = Field(default=False, description="Refuses logins without TLS.")
    certificate: CertificateSection | None = Field(
        None, description="Refuses logins without a client certificate, or with another than this."
    )


class RoleSection(Section):
    """A role: grants under a name, to be given to accounts."""

    role: str = Field(description="name or name@host.")
    grants: list[GrantSection] = Field(default_factory=list, description="What it allows.")
    roles: list[str] = Field(default_factory=list, description="Roles granted to it.")


class PrivilegeSection(Section):
    """Who may use which database."""

    type: str = Field(default="ALL_PERMITTED", description="ALL_PERMITTED or DATABASE_PERMITTED.")
    props: Properties = Field(
        default_factory=dict, description="user-database-mappings for DATABASE_PERMITTED."
    )


class AuthoritySection(Section):
    """Client accounts and their rights."""

    users: list[UserSection] = Field(default_factory=list)
    roles: list[RoleSection] = Field(default_factory=list)
    privilege: PrivilegeSection = Field(default_factory=lambda: PrivilegeSection())
    authenticators: dict[str, TypeAndProperties] = Field(default_factory=dict)
    default_authenticator: str | None = None


class RepositorySection(Section):
    """Where what the mesh itself changes is kept."""

    type: str = Field(default="SQLite", description="SQLite: a file of this node. etcd: a cluster of etcd.")
    props: Properties = Field(
        default_factory=dict,
        description="SQLite: path, beside global.yaml by default. etcd: namespace, server-lists and more.",
    )


class TransactionSection(Section):
    """How transactions that write to several data sources commit."""

    default_type: str = Field(
        default="XA",
        description="XA: as one, by two-phase commit. LOCAL: one data source after another, with a warning. "
        "BASE: each write at once, undone by its images if the whole is rolled back.",
    )
    provider_type: str | None = Field(
        default=None, description="Opens every database, and the servers behind the mesh."
    )
    props: Properties = Field(
        default_factory=dict,
        description="isolation: NONE or RECORD_LOCKS, of type BASE. Others are accepted for ShardingSphere's files.",
    )


class AdminSection(Section):
    """The section `admin` of global.yaml: the ports for operators. Without it there are none, and nothing is counted."""

    host: str = Field(default="127.0.0.1", description="Address both ports listen on.")
    port: int = Field(default=9307, ge=0, le=65535, description="HTTP port; 0 takes a free one.")
    sql_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port for MySQL clients; none when missing, 0 takes a free one.",
    )
    token: str = Field(
        default="", description="What a request must bear, at least 16 characters; take it from ${env:NAME}."
    )
    certificate: str | None = Field(default=None, description="PEM file: both ports use TLS.")
    key: str | None = Field(default=None, description="PEM file with the certificate's key.")
    client_ca: str | None = Field(
        default=None, description="PEM file: clients must show a certificate that one of these has signed."
    )


class TracingSection(Section):
    """The section `tracing` of global.yaml: spans of statements for OpenTelemetry. Without it there are none."""

    endpoint: str = Field(
        default="http://127.0.0.1:4318/v1/traces",
        description="Where spans are sent by OTLP over HTTP.",
    )
    headers: Properties = Field(
        default_factory=dict, description="What is sent with them; take secrets from ${env:NAME}."
    )
    sample_ratio: float = Field(
        default=0.001, ge=0, le=1, description="The part of the statements that have spans, from 0 to 1."
    )
    parent_based: bool = Field(
        default=True,
        description="Whether a statement that is part of a trace has spans when the trace has, whatever the ratio is.",
    )
    service_name: str = Field(default="dbmesh", description="The service the spans are of.")
    queue_size: int = Field(
        default=2048, ge=1, description="Spans that may wait to be sent; what comes beyond is dropped."
    )


class GlobalFile(Section):
    """The file `global.yaml`. Sections of ShardingSphere that mean nothing here are accepted as they are."""

    mode: Any = Field(
        default=None,
        description="repository of type SQLite or etcd: where the store is; other repositories are accepted and not used.",
    )
    authority: AuthoritySection = Field(default_factory=lambda: AuthoritySection())
    transaction: TransactionSection = Field(default_factory=lambda: TransactionSection())
    protection: Any = Field(
        default=None, description="What statements, clients and data sources are protected by."
    )
    mirroring: Any = Field(
        default=None,
        description="Logic databases whose statements are run in another one too, to compare the answers.",
    )
    sql_parser: Any = Field(default=None, description="Accepted.")
    sql_federation: Any = Field(default=None, description="Accepted.")
    sql_translator: Any = Field(default=None, description="Accepted.")
    logging: Any = Field(default=None, description="Accepted.")
    props: Properties = Field(default_factory=dict, description="Properties, see docs/CONFIGURATION.md.")
    admin: AdminSection | None = Field(default=None, description="The ports for operators.")
    tracing: TracingSection | None = Field(default=None, description="Spans of statements for OpenTelemetry.")
