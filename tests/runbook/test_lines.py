"""Every key of a TOML text is found on the line where a person would look for it."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.runbook.lines import key_lines, line_of
from runbook.texts import SHIPPED, shipped

TEXT = '''\
# a comment with [brackets] = and "quotes"
top = 1 # [not.a.table]
"quoted key" = 2
'literal.key' = 3
a.b.c = 4
a.b.d = 5

[table]
key = "value # no comment ] } ,"
multi = """
[fake]
key = 1
\\"""
"""
after = \'\'\'
[fake2] """
\'\'\'
quotes = """"two"" quotes"""""
last = 1979-05-27 07:32:00

[ table . "sub.table" ]
key = 1

[[list]]
name = "one"
items = [
  1,  # first ]
  { x = 2, y.z = [3, 4] },
  [
    5,
  ],
]

[[list.inner]]
key = 1
[[list.inner]]
key = 2
[list.inner.deep]
key = 3

[[list]]
name = "two"
inline = { a = { b = "}" }, c = [] }
[[list.inner]]
key = 4
'''


def test_the_text_of_this_test_is_toml():
    tomllib.loads(TEXT)


@pytest.mark.parametrize(
    ("loc", "line"),
    [
        (("top",), 2), (("quoted key",), 3), (("literal.key",), 4),
        (("a",), 5), (("a", "b"), 5), (("a", "b", "c"), 5), (("a", "b", "d"), 6),
        (("table",), 8), (("table", "key"), 9), (("table", "multi"), 10), (("table", "after"), 15),
        (("table", "quotes"), 18), (("table", "last"), 19),
        (("table", "sub.table"), 21), (("table", "sub.table", "key"), 22),
        (("list",), 24), (("list", 0), 24), (("list", 0, "name"), 25), (("list", 0, "items"), 26),
        (("list", 0, "items", 0), 27), (("list", 0, "items", 1), 28),
        (("list", 0, "items", 1, "x"), 28), (("list", 0, "items", 1, "y", "z", 1), 28),
        (("list", 0, "items", 2), 29), (("list", 0, "items", 2, 0), 30),
        (("list", 0, "inner"), 34), (("list", 0, "inner", 0, "key"), 35),
        (("list", 0, "inner", 1), 36), (("list", 0, "inner", 1, "key"), 37),
        (("list", 0, "inner", 1, "deep"), 38), (("list", 0, "inner", 1, "deep", "key"), 39),
        (("list", 1), 41), (("list", 1, "inline", "a", "b"), 43), (("list", 1, "inline", "c"), 43),
        (("list", 1, "inner", 0), 44), (("list", 1, "inner", 0, "key"), 45),
    ],
)  # fmt: skip
def test_a_key_is_on_its_line(loc, line):
    assert key_lines(TEXT)[loc] == line


@pytest.mark.parametrize("text", [TEXT, *map(shipped, SHIPPED)], ids=["here", *SHIPPED])
def test_the_scanner_finds_exactly_the_keys_that_tomllib_finds(text):
    """No key is missed, and none is found inside a string or a comment."""
    assert set(key_lines(text)) == set(paths(tomllib.loads(text)))


def test_a_missing_key_is_looked_for_at_its_table():
    """The nearest table around it, and the first line where there is none."""
    lines = key_lines(TEXT)
    assert line_of(lines, ("list", 1, "missing")) == 41
    assert line_of(lines, ("table", "sub.table", "missing", "deeper")) == 21
    assert line_of(lines, ("nowhere", 3)) == 1


def test_windows_line_ends_count_once():
    assert key_lines("a = 1\r\n\r\n[b]\r\nc = '''\r\n'''\r\nd = 2\r\n")[("b", "d")] == 6


def test_a_text_without_a_last_newline_is_read_to_its_end():
    assert key_lines("[a]\nb = 1 # end") == {("a",): 1, ("a", "b"): 2}


def paths(value, at=()):
    if at:
        yield at
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        if isinstance(child, dict | list):
            yield from paths(child, (*at, key))
        else:
            yield (*at, key)


KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True),
    st.text("ab.#=[]{} \"'\\\u00e9", min_size=0, max_size=4),
)
SCALARS = st.one_of(
    st.integers(-9, 99), st.booleans(), st.text("ab#\"'\\[]{},=\n\u00e9", max_size=6)
)


@st.composite
def documents(draw):
    """A TOML text with, for each of its keys, the line it was written on."""
    out, lines = [], {}
    for name in draw(st.lists(KEYS, unique=True, max_size=4)):
        out += draw(st.lists(st.sampled_from(["", "# [c] = '''", "  "]), max_size=2))
        array = draw(st.booleans())
        for item in range(draw(st.integers(1, 2)) if array else 1):
            at = (name, item) if array else (name,)
            out.append(f"[[{basic(name)}]]" if array else f"[{basic(name)}]")
            lines.setdefault((name,), len(out))
            lines[at] = len(out)
            for key, value in draw(st.dictionaries(KEYS, SCALARS, max_size=3)).items():
                lines[(*at, key)] = len(out) + 1
                out += f"{basic(key)} = {spelled(draw, value)}".split("\n")
    return "\n".join(out), lines


def basic(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def spelled(draw, value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if "'" not in value and draw(st.booleans()):
        return f"'''\n{value}'''"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""\n{escaped}"""' if draw(st.booleans()) else basic(value)


@given(documents())
def test_whatever_is_written_is_found_where_it_was_written(document):
    """Any keys, any strings, any comments between."""
    text, lines = document
    tomllib.loads(text)
    assert key_lines(text) == lines
