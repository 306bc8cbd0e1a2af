"""Inline expressions: Groovy's answers, and nothing but InlineError for anything else."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dbmesh.rules.inline import InlineError, compile_template, expand, parse_template


def evaluate(text: str, value: object = None) -> str:
    return compile_template(parse_template(text))(value)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("ds_${id % 2}", 5, "ds_1"),
        ("ds_$->{id % 2}", 5, "ds_1"),
        ("ds_${id % 2}_x", 4, "ds_0_x"),
        ("${id % 2}${id % 3}", 5, "12"),
        ("${ID % 2}", 5, "1"),
        ("${id % 4}", -5, "-1"),  # the sign of the dividend
        ("${id % -4}", 5, "1"),
        ("${7 / 2}", None, "3.5"),
        ("${8 / 2}", None, "4"),
        ("${20 / 2}", None, "10"),
        ("${1 / 3}", None, "0.3333333333"),
        ("${id.intdiv(2)}", -7, "-3"),
        ("${(id / 2).toInteger()}", 7, "3"),
        ("${1 + 2 * 3}", None, "7"),
        ("${(1 + 2) * 3}", None, "9"),
        ("${2 ** 10}", None, "1024"),
        ("${-2 ** 2}", None, "-4"),
        ("${2147483647 + 1}", None, "-2147483648"),  # Integer wraps
        ("${2147483647L + 1}", None, "2147483648"),
        ("${id + 1}", 2**63 - 1, str(-(2**63))),  # Long wraps
        ("${id + 1}", 2**31 - 1, str(2**31)),  # a key is a Long
        ("${id % 3}", 2**64, "1"),  # BigInteger
        ("${id & 3}", 7, "3"),
        ("${1 << 33}", None, "2"),
        ("${1L << 33}", None, str(2**33)),
        ("${-1 >>> 28}", None, "15"),
        ("${id.hashCode()}", "abc", "96354"),
        ("${id.hashCode() * 31}", "polygenelubricants", "-2147483648"),  # an Integer times an Integer
        ("${Math.abs(id.hashCode()) % 4}", "hello", "2"),
        ("${Math.floorMod(id, 4)}", -1, "3"),
        ("${Math.max(id, 4)}", 3, "4"),
        ("${id.toLong() % 4}", "13", "1"),
        ("${Long.parseLong(id) % 4}", "13", "1"),
        ("${id.toInteger()}", 2**32 + 5, "5"),
        ("${id.substring(1, 3)}", "abcd", "bc"),
        ("${id.substring(2)}", "abcd", "cd"),
        ("${id[0]}", "abcd", "a"),
        ("${id[-1]}", "abcd", "d"),
        ("${id[-2..-1]}", "abcd", "cd"),
        ("${id[0..-1]}", "abcd", "abcd"),
        ("${id[2..0]}", "abcd", "cba"),
        ("${id.toString()[-1]}", 123, "3"),
        ("${id.length()}", "abcd", "4"),
        ("${(id % 16).toString().padLeft(2, '0')}", 5, "05"),
        ("${id.toString().padLeft(4)}", 5, "   5"),
        ('${id > 3 ? "hi" : "lo"}', 5, "hi"),
        ("${id > 3 && id < 5 || !(id == 7)}", 7, "false"),
        ("${id ?: 'none'}", "", "none"),
        ("${id in [1, 2, 3] ? 0 : 1}", 2, "0"),
        ("${id in 1..3 ? 0 : 1}", 4, "1"),
        ("${['a', 'b'][id % 2]}", 3, "b"),
        ("${'a' + id}", 3, "a3"),
        ("${id == null}", 3, "false"),
        ("${id <=> 3}", 2, "-1"),
        ("${id.toUpperCase().replace('A', 'b').contains('b')}", "a", "true"),
        ("plain", None, "plain"),
    ],
)
def test_expressions(text: str, value: object, expected: str) -> None:
    assert evaluate(text, value) == expected


@pytest.mark.parametrize(
    "text",
    ["${", "${}", "${a +}", "${a b}", "$a", "${a.b}", "${a.exec('x')}", "${System.exit(1)}", "${foo(1)}", "${'a}",
     '${"$a"}', "${a[1}", "${(a}", "${a ? 1}", "${a?.b()}", "${a.substring()}", "${a.length(1)}", "${@a}",
     "${" + "(" * 50 + "a" + ")" * 50 + "}", "${" + "a+" * 400 + "a}", "${'\\q'}"],
)  # fmt: skip
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(InlineError):
        compile_template(parse_template(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${a % 0}", 1),
        ("${a % 2}", "1"),
        ("${a % 2}", None),
        ("${(a / 2) % 2}", 1),
        ("${a.toInteger()}", "x"),
        ("${a.toInteger()}", "99999999999"),
        ("${a.substring(9)}", "x"),
        ("${a[5]}", "x"),
        ("${a.length()}", 5),
        ("${a < 5}", "x"),
        ("${a ** 9999}", 9),
        ("${a.padLeft(99999999)}", 9),
        ("${0..a}", 10**12),
        ("${a * a}", 10**600),
        ("${true + a}", 1),
        ("${a.hashCode()}", None),
    ],
)
def test_what_has_no_value(text: str, value: object) -> None:
    with pytest.raises(InlineError):
        evaluate(text, value)


def test_several_variables_come_as_a_mapping() -> None:
    template = parse_template("t_${(user_id + order_id) % 4}")
    assert template.variables == {"user_id", "order_id"}
    assert compile_template(template)({"user_id": 3, "order_id": 4}) == "t_3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ds_${0..1}.t_${0..1}", ["ds_0.t_0", "ds_0.t_1", "ds_1.t_0", "ds_1.t_1"]),
        ("ds_$->{0..1}", ["ds_0", "ds_1"]),
        ("${['x', 'y']}_${[1, 1, 2]}", ["x_1", "x_2", "y_1", "y_2"]),
        ("a, b ,,c", ["a", "b", "c"]),
        ("ds_0.t_${[1, 2]},ds_1.t_${3..<5}", ["ds_0.t_1", "ds_0.t_2", "ds_1.t_3", "ds_1.t_4"]),
        ("t_${2..0}", ["t_2", "t_1", "t_0"]),
        ("t_${1 + 1}", ["t_2"]),
        ("t_${(0..2).size()}", ["t_3"]),
        ("", []),
    ],
)
def test_expansion_order(text: str, expected: list[str]) -> None:
    assert list(expand(text)) == expected


@pytest.mark.parametrize("text", ["ds_${a}", "t_${0..99999}_${0..99999}", "t_${null}", "ds_${0..1", "t_$x"])
def test_expansion_mistakes(text: str) -> None:
    with pytest.raises(InlineError):
        expand(text)


PIECES = st.sampled_from(
    ["a", "1", "0", "2147483647", "'x'", '"y"', "+", "-", "*", "/", "%", "**", "(", ")", "[", "]", ",", ".", "..",
     "..<", "?", ":", "?:", "==", "<", "&&", "!", "~", "in", "null", "true", "Math.abs(", ".hashCode()", ".toLong()",
     ".substring(", ".padLeft(", ".toString()", "<<", ">>>", "1.5", "9L", ".intdiv(", "[a]", "${", "}", "\\"]
)  # fmt: skip
VALUES = st.one_of(st.integers(), st.text(max_size=5), st.none(), st.decimals(), st.integers(-3, 3))


@settings(deadline=None)
@given(st.lists(PIECES, max_size=14), VALUES)
@example(["a", "/", "a"], 0)
def test_random_expressions_raise_nothing_else(pieces: list[str], value: object) -> None:
    text = "t_${" + " ".join(pieces) + "}"
    try:
        compiled = compile_template(parse_template(text))
        result = compiled(value if len(parse_template(text).variables) <= 1 else {"a": value})
    except InlineError:
        return
    assert isinstance(result, str)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_random_texts_raise_nothing_else(text: str) -> None:
    for read in (expand, parse_template):
        try:
            read(text)  # type: ignore[operator]
        except InlineError:
            pass


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**31 - 1))
def test_remainder_agrees_with_java(value: int, divisor: int) -> None:
    expected = abs(value) % divisor * (-1 if value < 0 else 1)
    assert evaluate(f"${{a % {divisor}}}", value) == str(expected)
