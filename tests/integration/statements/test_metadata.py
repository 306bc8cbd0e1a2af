"""Metadata as clients ask for it: two logic databases in which no data source holds a node of every table, compared with
one server that holds databases of the same names."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from django.core.management import call_command
from django.db import connections

from tests.plugins import shop as shop_data
from tests.plugins.database_server import chosen_product
from tests.plugins.django_settings import configure
from tests.plugins.equivalence import Answer, Column, ask, assert_equal_answers
from tests.plugins.fix_mesh import Shop
from tests.plugins.mesh import Mesh

pytestmark = pytest.mark.integration

configure()

_USER = (
    "id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL DEFAULT 'x', email VARCHAR(80) COMMENT 'mail', "
    "born DATE, UNIQUE KEY uk_email (email, id), KEY k_name (name, born)"
)
_POST = (
    "id BIGINT NOT NULL, author BIGINT NOT NULL, body TEXT, PRIMARY KEY (id, author), "
    "CONSTRAINT {name} FOREIGN KEY (author) REFERENCES {user} (id) ON DELETE CASCADE"
)
_FAR = "id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, kind ENUM('a','b') NOT NULL, doc JSON, price DECIMAL(9,3)"
_TRIGGER = (
    "CREATE TRIGGER far_before BEFORE INSERT ON far FOR EACH ROW SET NEW.price = COALESCE(NEW.price, 1)"
)
_VIEW = "CREATE VIEW near_view AS SELECT id, word FROM near WHERE id > 1"
_PROCEDURE = "CREATE PROCEDURE near_words(IN least INT) SELECT word FROM near WHERE id >= least ORDER BY id"
_ADDING = (
    "CREATE PROCEDURE near_add(n INT, w VARCHAR(20)) BEGIN DECLARE k INT; SET k = n + 1; "
    "INSERT INTO near VALUES (k, w); SELECT k AS k, w; SELECT COUNT(*) FROM near; END"
)
_GIVING = (
    "CREATE PROCEDURE near_gives(IN n INT, OUT w VARCHAR(20), INOUT total DECIMAL(10,2)) BEGIN "
    "SELECT word FROM near WHERE id = n; SELECT word INTO w FROM near WHERE id = n; SET total = total + n; END"
)
_FUNCTION = "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2"

_NODES = (
    (
        "CREATE TABLE account_0 (" + _USER + ")",
        "CREATE TABLE account_2 (" + _USER + ")",
        "CREATE TABLE post_0 (" + _POST.format(name="fk_author_post_0", user="account_0") + ")",
        "CREATE TABLE post_2 (" + _POST.format(name="fk_author_post_2", user="account_2") + ")",
        "CREATE TABLE land (code CHAR(2) NOT NULL PRIMARY KEY)",
        "CREATE TABLE near (id INT NOT NULL PRIMARY KEY, word VARCHAR(20))",
        _VIEW,
        _PROCEDURE,
        _ADDING,
        _GIVING,
        _FUNCTION,
        "CREATE PROCEDURE reads_shard() SELECT COUNT(*) FROM account_0",
        "CREATE PROCEDURE writes_copy() INSERT INTO land VALUES ('XX')",
        "CREATE PROCEDURE sets_user() SET @a = 1",
        "CREATE PROCEDURE sets_session() SET sort_buffer_size = 100000",
        "CREATE PROCEDURE commits() BEGIN INSERT INTO near VALUES (9, 'x'); COMMIT; END",
        "CREATE PROCEDURE everywhere() SELECT 1",
        "INSERT INTO near VALUES (1, 'one'), (2, 'two'), (3, 'three')",
        "INSERT INTO account_0 (id, name) VALUES (4, 'd'), (8, 'h')",
        "INSERT INTO account_2 (id, name) VALUES (2, 'b'), (6, 'f'), (10, 'j')",
    ),
    (
        "CREATE TABLE account_1 (" + _USER + ")",
        "CREATE TABLE account_3 (" + _USER + ")",
        "CREATE TABLE post_1 (" + _POST.format(name="fk_author_post_1", user="account_1") + ")",
        "CREATE TABLE post_3 (" + _POST.format(name="fk_author_post_3", user="account_3") + ")",
        "CREATE TABLE land (code CHAR(2) NOT NULL PRIMARY KEY)",
        "CREATE TABLE far (" + _FAR + ")",
        _TRIGGER,
        "CREATE PROCEDURE everywhere() SELECT 1",
        "INSERT INTO account_1 (id, name) VALUES (1, 'a')",
    ),
)
_WHOLE = (
    "CREATE TABLE account (" + _USER + ")",
    "CREATE TABLE post (" + _POST.format(name="fk_author", user="account") + ")",
    "CREATE TABLE land (code CHAR(2) NOT NULL PRIMARY KEY)",
    "CREATE TABLE near (id INT NOT NULL PRIMARY KEY, word VARCHAR(20))",
    _VIEW,
    _PROCEDURE,
    _ADDING,
    _GIVING,
    _FUNCTION,
    "INSERT INTO near VALUES (1, 'one'), (2, 'two'), (3, 'three')",
    "INSERT INTO account (id, name) VALUES (1, 'a'), (2, 'b'), (4, 'd'), (6, 'f'), (8, 'h'), (10, 'j')",
    "CREATE TABLE far (" + _FAR + ")",
    _TRIGGER,
)
_SECOND = ("CREATE TABLE memo (id INT NOT NULL PRIMARY KEY, body TEXT NOT NULL)",)

_RULES = """\
rules:
- !SHARDING
  autoTables:
    account:
      actualDataSources: ds_0,ds_1
      shardingStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: mod_4}}
    post:
      actualDataSources: ds_0,ds_1
      shardingStrategy: {standard: {shardingColumn: author, shardingAlgorithmName: mod_4}}
  shardingAlgorithms:
    mod_4: {type: MOD, props: {sharding-count: 4}}
- !BROADCAST
  tables: [land]
"""


def _source(number: int, shop: Shop, schema: str) -> str:
    text = shop_data.source_yaml(number, shop.sources[number])
    return text.replace(shop_data.shard_schema(number), schema)


def _without_origin(answer: Answer) -> Answer:
    columns = tuple(Column(one.name, "", "", "", 0, 0, 0, 0) for one in answer.columns)
    return replace(answer, columns=columns)


class Pair:
    """The same session on the mesh and on one server."""

    def __init__(self, mesh: Mesh, shop: Shop) -> None:
        self.shop = shop
        login: dict[str, Any] = {
            "user": shop_data.USER,
            "password": shop_data.PASSWORD,
            "database": "blog",
            "autocommit": True,
        }
        plain = shop.plain
        self.mesh_url = f"{shop_data.USER}:{shop_data.PASSWORD}@{mesh.host}:{mesh.port}"
        self.plain_url = f"{plain.user}:{plain.password}@{plain.host}:{plain.port}"
        self.mesh = pymysql.connect(host=mesh.host, port=mesh.port, **login)
        self.plain = pymysql.connect(
            host=plain.host, port=plain.port, **{**login, "user": plain.user, "password": plain.password}
        )

    def same(self, statement: str, arguments: Any = None) -> Answer:
        """Runs the statement on both and insists on equal answers; returns the mesh's."""
        mesh, plain = ask(self.mesh, statement, arguments), ask(self.plain, statement, arguments)
        if chosen_product() == "MySQL":
            # MySQL's information_schema are views: flags, names of origin and lengths tell of tables behind them.
            mesh, plain = (_without_origin(answer) for answer in (mesh, plain))
        assert_equal_answers(mesh, plain, statement)
        return mesh

    def close(self) -> None:
        """Ends both sessions."""
        self.mesh.close()
        self.plain.close()


@pytest.fixture(scope="module")
def blog(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh with the logic databases `blog` and `second`, and databases of these names on the plain server."""
    directory = tmp_path_factory.mktemp("blog")
    for number, server in enumerate(shop.sources):
        server.execute(f"CREATE DATABASE blog_{number}", f"USE blog_{number}", *_NODES[number])
    shop.plain_server.execute("CREATE DATABASE blog", "USE blog", *_WHOLE)
    shop.plain_server.execute("CREATE DATABASE second", "USE second", *_SECOND)
    shop.sources[1].execute("CREATE DATABASE second_1", "USE second_1", *_SECOND)
    rules = directory / "rules"
    rules.mkdir()
    (rules / "global.yaml").write_text(shop_data.global_yaml())
    sources = "".join(_source(number, shop, f"blog_{number}") for number in (0, 1))
    (rules / "database-blog.yaml").write_text(f"databaseName: blog\ndataSources:\n{sources}{_RULES}")
    (rules / "database-second.yaml").write_text(
        f"databaseName: second\ndataSources:\n{_source(1, shop, 'second_1')}rules: []\n"
    )
    mesh = Mesh(rules, directory / "mesh.log").start()
    yield mesh
    mesh.stop_cleanly()
    for number, server in enumerate(shop.sources):
        server.execute(f"DROP DATABASE blog_{number}")
    shop.plain_server.execute("DROP DATABASE blog")
    shop.plain_server.execute("DROP DATABASE second")
    shop.sources[1].execute("DROP DATABASE second_1")
    assert not mesh.troubles(), mesh.troubles()


@pytest.fixture
def pair(blog: Mesh, shop: Shop) -> Iterator[Pair]:
    """Sessions in `blog`."""
    made = Pair(blog, shop)
    yield made
    made.close()


STATEMENTS = [
    # SQLAlchemy 2
    "SHOW FULL TABLES FROM `blog`",
    (
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'blog' AND table_type = 'BASE TABLE' "
        "ORDER BY table_name"
    ),
    (
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.columns WHERE "
        "(table_schema, table_name, lower(column_name)) IN (('blog', 'account', 'id'), ('second', 'memo', 'body'))"
    ),
    "SHOW CREATE TABLE `far`",
    "DESCRIBE `blog`.`far`",
    # Django
    "SELECT table_name, table_type, table_comment FROM information_schema.tables WHERE table_schema = DATABASE()",
    (
        "SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, extra, column_default, "
        "collation_name, CASE WHEN column_type LIKE '%% unsigned' THEN 1 ELSE 0 END AS is_unsigned, column_comment "
        "FROM information_schema.columns WHERE table_name = 'far' AND table_schema = DATABASE()"
    ),
    (
        "SELECT kc.`constraint_name`, kc.`column_name`, kc.`referenced_table_name`, kc.`referenced_column_name`, "
        "c.`constraint_type` FROM information_schema.key_column_usage AS kc, information_schema.table_constraints AS c "
        "WHERE kc.table_schema = DATABASE() AND (kc.referenced_table_schema = DATABASE() OR "
        "kc.referenced_table_schema IS NULL) AND c.table_schema = kc.table_schema AND "
        "c.constraint_name = kc.constraint_name AND c.constraint_type != 'CHECK' AND kc.table_name = 'post' "
        "AND c.table_name = 'post' ORDER BY kc.`ordinal_position`, kc.`constraint_name`"
    ),
    (
        "SELECT column_name, referenced_table_name, referenced_column_name FROM information_schema.key_column_usage "
        "WHERE table_name = 'post' AND table_schema = DATABASE() AND referenced_table_schema = DATABASE() "
        "AND referenced_table_name IS NOT NULL AND referenced_column_name IS NOT NULL"
    ),
    # DBeaver, HeidiSQL and others
    "SELECT * FROM information_schema.schemata WHERE schema_name IN ('blog', 'second', 'nope') ORDER BY schema_name",
    "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema IN ('blog', 'second')",
    (
        "SELECT table_schema, COUNT(*) AS n FROM information_schema.columns WHERE table_schema IN ('blog', 'second') "
        "GROUP BY table_schema HAVING n > 1 ORDER BY n DESC"
    ),
    "SELECT table_name, view_definition, is_updatable FROM information_schema.views WHERE table_schema = 'blog'",
    (
        "SELECT trigger_name, event_object_table, action_statement, action_timing FROM information_schema.triggers "
        "WHERE trigger_schema = 'blog'"
    ),
    (
        "SELECT routine_name, routine_type, dtd_identifier FROM information_schema.routines "
        "WHERE routine_schema = 'blog' AND routine_name IN ('near_add', 'twice') ORDER BY 1"
    ),
    (
        "SELECT specific_name, ordinal_position, parameter_name, data_type FROM information_schema.parameters "
        "WHERE specific_schema = 'blog' ORDER BY 1, 2"
    ),
    (
        "SELECT constraint_name, table_name, referenced_table_name, delete_rule, unique_constraint_schema "
        "FROM information_schema.referential_constraints WHERE constraint_schema = 'blog'"
    ),
    (
        "SELECT t.table_name, c.column_name FROM information_schema.tables t JOIN information_schema.columns c "
        "USING (table_schema, table_name) WHERE t.table_schema = 'blog' ORDER BY 1, c.ordinal_position LIMIT 7"
    ),
    (
        "SELECT a.table_name, b.table_name FROM information_schema.tables a LEFT JOIN information_schema.tables b "
        "ON a.table_schema = b.table_schema AND a.table_name < b.table_name WHERE a.table_schema = 'blog' ORDER BY 1, 2"
    ),
    "WITH t AS (SELECT table_name FROM information_schema.tables WHERE table_schema = 'blog') SELECT COUNT(*) FROM t",
    (
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'blog' AND table_name NOT IN "
        "(SELECT table_name FROM information_schema.statistics WHERE table_schema = 'blog') ORDER BY 1"
    ),
    (
        "SELECT DISTINCT index_name, non_unique FROM information_schema.statistics WHERE table_schema = 'blog' "
        "AND table_name = 'account' ORDER BY index_name"
    ),
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'nope'",
    "SELECT table_name, nope FROM information_schema.tables",
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'information_schema' AND table_name = 'TABLES'",
    "SELECT character_set_name FROM information_schema.character_sets ORDER BY 1",
    (
        "SELECT t.table_collation, c.character_set_name FROM information_schema.tables t, "
        "information_schema.collation_character_set_applicability c WHERE t.table_schema = 'blog' AND t.table_name = 'far' "
        "AND c.collation_name = t.table_collation"
    ),
    (
        "SELECT * FROM information_schema.columns WHERE table_schema = 'blog' AND table_name = 'account' "
        "ORDER BY ordinal_position"
    ),
    # SHOW
    "SHOW TABLES",
    "SHOW TABLES FROM second",
    "SHOW FULL TABLES WHERE Table_type = 'VIEW'",
    "SHOW FULL TABLES LIKE 'a%'",
    "SHOW TABLES WHERE Tables_in_blog IN ('far', 'near') AND Tables_in_blog <> 'near'",
    "SHOW TABLES FROM nope",
    "SHOW TRIGGERS FROM blog WHERE `Trigger` = 'nope'",
    "SHOW EVENTS",
    "SHOW COLUMNS FROM account WHERE Field LIKE '%a%'",
    "SHOW FULL FIELDS FROM far LIKE 'k%'",
    "SHOW CREATE VIEW near_view",
    "DESCRIBE account name",
    "DESCRIBE second.memo",
    "SHOW CREATE TABLE second.memo",
    "SHOW FULL COLUMNS FROM memo FROM second LIKE 'b%'",
    "SHOW KEYS FROM second.memo",
]


@pytest.mark.parametrize("statement", STATEMENTS, ids=[text[:70] for text in STATEMENTS])
def test_metadata_is_that_of_one_server(pair: Pair, statement: str) -> None:
    pair.same(statement)


def test_prepared_statements_ask_alike(pair: Pair) -> None:
    for connection in (pair.mesh, pair.plain):
        with connection.cursor() as cursor:
            cursor.execute(
                "PREPARE p FROM 'SELECT column_name FROM information_schema.columns WHERE table_schema = ? "
                "AND table_name = ? ORDER BY ordinal_position'"
            )
            cursor.execute("SET @s = 'blog', @t = 'far'")
    pair.same("EXECUTE p USING @s, @t")


def test_rows_and_sizes_are_sums(pair: Pair, shop: Shop) -> None:
    columns = "SUM(table_rows), SUM(data_length), SUM(index_length), MAX(auto_increment)"
    answers = [
        server.execute(
            f"SELECT {columns} FROM information_schema.tables WHERE table_schema = 'blog_{number}' "
            "AND table_name LIKE 'account%'"
        )[0]
        for number, server in enumerate(shop.sources)
    ]
    [mesh] = ask(
        pair.mesh,
        "SELECT table_rows, data_length, index_length, auto_increment FROM information_schema.tables "
        "WHERE table_schema = 'blog' AND table_name = 'account'",
    ).rows
    assert mesh == (
        *(sum(answer[index] for answer in answers) for index in range(3)),
        max(answer[3] for answer in answers),
    )
    [status] = ask(pair.mesh, "SHOW TABLE STATUS LIKE 'account'").rows
    assert (status[0], status[4], status[6], status[8], status[10]) == ("account", *mesh)
    [plain] = ask(pair.plain, "SHOW TABLE STATUS LIKE 'account'").rows
    assert len(status) == len(plain)


def test_broadcast_tables_are_not_summed(pair: Pair) -> None:
    query = (
        "SELECT table_rows FROM information_schema.tables WHERE table_schema = 'blog' AND table_name = 'land'"
    )
    assert ask(pair.mesh, query).rows == ask(pair.plain, query).rows


def test_headers_of_show_table_status_and_index(pair: Pair) -> None:
    for statement in (
        "SHOW TABLE STATUS",
        "SHOW INDEX FROM account",
        "SHOW PROCEDURE STATUS WHERE Db = 'blog' AND Name LIKE 'near%'",
        "SHOW TRIGGERS LIKE 'far'",
    ):
        mesh, plain = ask(pair.mesh, statement), ask(pair.plain, statement)
        assert [column.name for column in mesh.columns] == [column.name for column in plain.columns]
        if chosen_product() == "MariaDB":
            types = [[column.type_code for column in answer.columns] for answer in (mesh, plain)]
            assert types[0] == types[1]
        assert [row[:3] for row in mesh.rows] == [row[:3] for row in plain.rows]


def test_foreign_keys_have_their_logic_names(pair: Pair) -> None:
    [mesh] = ask(pair.mesh, "SHOW CREATE TABLE post").rows
    [plain] = ask(pair.plain, "SHOW CREATE TABLE post").rows
    assert mesh == plain


def test_sqlalchemy_reflects_the_whole_schema(pair: Pair) -> None:
    found = []
    for url in (pair.mesh_url, pair.plain_url):
        engine = sa.create_engine(f"mysql+pymysql://{url}/blog")
        try:
            metadata = sa.MetaData()
            metadata.reflect(engine, views=True)
            metadata.reflect(engine, schema="second")
            inspector = sa.inspect(engine)
            found.append(
                (
                    {
                        name: [
                            (c.name, str(c.type), c.nullable, str(getattr(c.server_default, "arg", None)))
                            for c in table.columns
                        ]
                        for name, table in metadata.tables.items()
                    },
                    {name: sorted(map(repr, table.constraints)) for name, table in metadata.tables.items()},
                    {name: inspector.get_foreign_keys(name) for name in inspector.get_table_names()},
                    {name: inspector.get_indexes(name) for name in inspector.get_table_names()},
                    inspector.get_view_names(),
                    inspector.get_view_definition("near_view"),
                    inspector.get_table_options("far"),
                )
            )
        finally:
            engine.dispose()
    names = [set(part) for part in (found[0][0], found[1][0])]
    assert names[0] == names[1]
    assert [found[0][index] for index in (0, 2, 3, 4, 5, 6)] == [
        found[1][index] for index in (0, 2, 3, 4, 5, 6)
    ]


def test_django_inspects_the_whole_schema(pair: Pair) -> None:
    texts = []
    for alias, url in (("blog_mesh", pair.mesh_url), ("blog_plain", pair.plain_url)):
        login, place = url.split("@")
        user, password = login.split(":")
        host, port = place.split(":")
        connections.databases[alias] = connections.configure_settings(
            {
                alias: {
                    "ENGINE": "django.db.backends.mysql",
                    "NAME": "blog",
                    "USER": user,
                    "PASSWORD": password,
                    "HOST": host,
                    "PORT": port,
                },
                "default": {"ENGINE": "django.db.backends.dummy"},
            }
        )[alias]
        out = io.StringIO()
        with contextlib.closing(connections[alias]):
            call_command("inspectdb", database=alias, include_views=True, stdout=out)
        texts.append(out.getvalue())
        del connections[alias], connections.databases[alias]
    assert texts[0] == texts[1]
    assert "class Account(models.Model)" in texts[0]


def test_what_tells_of_one_data_source_is_refused(pair: Pair) -> None:
    for statement in ("SELECT * FROM mysql.user", "SELECT * FROM information_schema.processlist"):
        assert ask(pair.mesh, statement).error == 1235
    assert ask(pair.mesh, "SELECT name FROM mysql.help_topic LIMIT 1").error is None


def _all_results(connection: pymysql.Connection[Any], statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        found: list[Any] = []
        while True:
            titles = [entry[0] for entry in cursor.description or ()]
            found.append((titles, cursor.fetchall() if titles else (), cursor.rowcount))
            if not cursor.nextset():
                return found


@pytest.mark.parametrize(
    "statement",
    [
        "CALL near_words(2)",
        "CALL `blog`.near_words ( 1 + 1 )",
        "CALL nope()",
        "CALL near_words()",
        "CALL near_words('x')",
        "DO 1, SLEEP(0)",
        "DO (SELECT COUNT(*) FROM account)",
        "DO nope",
        "SELECT twice(21)",
        "SELECT id, twice(id) FROM near_view ORDER BY id",
        "SHOW CREATE PROCEDURE near_words",
        "SHOW CREATE FUNCTION blog.twice",
        "SHOW CREATE TRIGGER nope",
    ],
)
def test_routines_on_one_data_source_are_those_of_one_server(pair: Pair, statement: str) -> None:
    pair.same(statement)


def test_a_procedure_with_several_results_is_part_of_the_transaction(pair: Pair) -> None:
    results = []
    for connection in (pair.mesh, pair.plain):
        connection.begin()
        results.append(_all_results(connection, "CALL near_add(6, 'seven')"))
        assert ask(connection, "SELECT word FROM near WHERE id = 7").rows == (("seven",),)
        connection.rollback()
        assert ask(connection, "SELECT word FROM near WHERE id = 7").rows == ()
    assert results[0] == results[1]
    assert len(results[0]) == 3


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("inside", [False, True])
def test_user_variables_get_what_a_procedure_gives(pair: Pair, prepared: bool, inside: bool) -> None:
    results = []
    for connection in (pair.mesh, pair.plain):
        if inside:
            connection.begin()
        ask(connection, "SET @n = 2, @w = 'before', @`my total` = 1.5")
        if prepared:
            ask(connection, "PREPARE gives FROM 'CALL near_gives(?, ?, ?)'")
        call = (
            "EXECUTE gives USING @n, @w, @`my total`" if prepared else "CALL near_gives(2, @w, @`my total`)"
        )
        results.append(_all_results(connection, call))
        results.append(ask(connection, "SELECT @n, @w, @`my total`, @w = 'two'"))
        ask(connection, "SET @w = 'before'")
        results.append(ask(connection, "SELECT @w"))
        connection.rollback()
    if chosen_product() == "MySQL":
        # A text given to a variable by a procedure is told as bytes there.
        results = [_of_texts(one) if isinstance(one, Answer) else one for one in results]
    assert results[:3] == results[3:]
    assert results[1].rows[0][1] == "two"


def _of_texts(answer: Answer) -> Answer:
    rows = tuple(
        tuple(value.decode() if isinstance(value, bytes) else value for value in row) for row in answer.rows
    )
    return replace(answer, columns=(), rows=rows)


def test_user_variables_inside_a_procedure_are_the_sessions(pair: Pair) -> None:
    results = []
    for connection in (pair.mesh, pair.plain):
        ask(connection, "SET @seen = 5, @made = NULL")
        ask(
            connection,
            "CREATE PROCEDURE near_made(n INT) BEGIN SET @made = @seen + n; SET @`never` = 1; "
            "INSERT INTO near VALUES (n, 'twice'); END",
        )
        results += [
            _all_results(connection, "CALL near_made(91)"),
            ask(connection, "SELECT @seen, @made, @never"),
        ]
        ask(connection, "SET @seen = 6")
        answer = ask(connection, "CALL near_made(91)")
        results += [answer.error, ask(connection, "SELECT @seen, @made, @never")]
        ask(connection, "DELETE FROM near WHERE id = 91")
        ask(connection, "DROP PROCEDURE near_made")
    assert results[:4] == results[4:]
    assert results[2] == 1062


@pytest.mark.parametrize("arguments", ["(2, 'x', @t)", "(2, @w, 1)", "(2, @w + 1, @t)"])
def test_out_parameters_need_variables(pair: Pair, arguments: str) -> None:
    pair.same("CALL near_gives" + arguments)


@pytest.mark.parametrize(
    ("procedure", "why"),
    [
        ("reads_shard", "names 'account'"),
        ("writes_copy", "names 'land'"),
        ("sets_session", "sets 'sort_buffer_size'"),
        ("commits", "contains COMMIT"),
        ("everywhere", "exists on ds_0 and ds_1"),
    ],
)
def test_procedures_that_would_act_otherwise_than_on_one_server_are_refused(
    pair: Pair, procedure: str, why: str
) -> None:
    answer = ask(pair.mesh, f"CALL {procedure}()")
    assert answer.error == 1235
    assert why in answer.text


def test_show_create_trigger_finds_its_data_source(pair: Pair) -> None:
    mesh, plain = (ask(one, "SHOW CREATE TRIGGER far_before").rows for one in (pair.mesh, pair.plain))
    assert [row[:3] for row in mesh] == [row[:3] for row in plain]
