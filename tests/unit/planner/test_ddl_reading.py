"""DDL is read by lexemes: names keep their places whatever stands around them."""

from dbmesh.planner.ddl_reading import NamePlace, read_alter_table, read_create_table, read_drop_table
from dbmesh.planner.lexemes import LexemeReader


def written(sql: str, place: NamePlace) -> str:
    return sql[place.start : place.end]


def test_create_table() -> None:
    sql = (
        "CREATE OR REPLACE TABLE IF NOT EXISTS `s`.`t` (a INT COMMENT 'x, y', `key` DECIMAL(5,2) AS (a + 1), "
        "KEY k (a), CONSTRAINT c CHECK (a > 0), CONSTRAINT p PRIMARY KEY (a), "
        "CONSTRAINT f FOREIGN KEY (a) REFERENCES o.r (x)) PARTITION BY HASH (a)"
    )
    read = read_create_table(LexemeReader(sql))
    assert (read.table.database, read.table.name, written(sql, read.table)) == ("s", "t", "`s`.`t`")
    assert read.columns == ("a", "key")
    assert [place.name for place in read.symbols] == ["c", "f"]
    assert [written(sql, place) for place in read.references] == ["o.r"]
    assert not read.selects


def test_create_table_from_a_query() -> None:
    assert read_create_table(LexemeReader("CREATE TABLE t SELECT 1")).selects
    assert read_create_table(LexemeReader("CREATE TABLE t (SELECT 1)")).selects
    like = read_create_table(LexemeReader("CREATE TABLE t (LIKE s)")).like
    assert like is not None
    assert like.name == "s"


def test_alter_table() -> None:
    sql = (
        "ALTER TABLE t ADD COLUMN a INT, DROP b, DROP COLUMN IF EXISTS c, DROP INDEX i, CHANGE d e INT, CHANGE f f INT, "
        "RENAME COLUMN g TO h, DROP FOREIGN KEY k, ALTER COLUMN l DROP DEFAULT, RENAME INDEX m TO n, RENAME AS o"
    )
    read = read_alter_table(LexemeReader(sql))
    assert read.gone == ("b", "c", "d", "g")
    assert [place.name for place in read.symbols] == ["k"]
    assert read.renamed_to is not None
    assert read.renamed_to.name == "o"


def test_drop_table() -> None:
    read = read_drop_table(LexemeReader("DROP TABLE IF EXISTS a, s.b CASCADE"))
    assert ([place.name for place in read.tables], read.if_exists, read.temporary) == (
        ["a", "b"],
        True,
        False,
    )
