"""The grammar: what a template stands for, in which order, and what is said of one that makes no sense."""

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.templates.dice import Dice
from pipeline.templates.forms import MANY, Form
from pipeline.templates.parsing import is_plain
from pipeline.templates.syntax import TemplateError
from tests.pipeline.templates.written import bound, drawn, texts

COLOURS = {"colour": "red\n# a comment\n\n  green \nblue {dark|light}\n", "mix/warm": "3::__colour__\n0::never\nochre"}


@pytest.mark.parametrize(
    ("template", "meant"),
    [
        ("just words", ["just words"]),
        ("a {red|blue} circle", ["a red circle", "a blue circle"]),
        ("{a|b}{1|2}", ["a1", "a2", "b1", "b2"]),
        ("{a{1|2}|b}", ["a1", "a2", "b"]),
        ("{|very }big", ["big", "very big"]),
        ("{2$$a|b|c}", ["a, b", "a, c", "b, c"]),
        ("{2$$ and $$a|b|c}", ["a and b", "a and c", "b and c"]),
        ("{1-2$$+$$a|b}", ["a", "b", "a+b"]),
        ("{-1$$a|b}", ["", "a", "b"]),
        ("{1-$$a|b}", ["a", "b", "a, b"]),
        ("{2$$a{1|2}|b|c}", ["a1, b", "a1, c", "a2, b", "a2, c", "b, c"]),
        ("{0.5::a|3::b}", ["a", "b"]),
        ("{0::a|b}", ["b"]),
        ("${x={a|b}}${x} and ${x}", ["a and a", "b and b"]),
        ("${x=!{a|b}}${y=${x}{1|2}}${y}", ["a1", "a2", "b1", "b2"]),
        ("__colour__!", ["red!", "green!", "blue dark!", "blue light!"]),
        (
            "{2$$__colour__}",
            ["red, green", "red, blue dark", "red, blue light", "green, blue dark", "green, blue light"],
        ),
        ("__mix/warm__", ["red", "green", "blue dark", "blue light", "ochre"]),
        (r"\{a\|b\} \__colour__ \$ \\ c:\x", [r"{a|b} __colour__ $ \ c:\x"]),
        ("a | b, snake_case, __two words__, ____, $5, ${5|6}", None),
    ],
)
def test_a_template_stands_for_these_prompts(template: str, meant: list[str] | None) -> None:
    """Every form of the grammar, written out in order; what is no template stands for itself."""
    if meant is None:
        meant = [f"a | b, snake_case, __two words__, ____, $5, ${price}" for price in (5, 6)]
    assert texts(template, COLOURS) == meant


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a {red|blue", 'column 3: "{" is never closed'),
        ("a red} b", 'column 6: "}" closes nothing'),
        ("{}", "column 1: the braces hold nothing"),
        ("{3$$a|b}", "column 1: chooses 3 of 2"),
        ("{3-1$$a|b}", "the range 3-1 runs backwards"),
        ("{0::a|0::b}", "column 1: every option has the weight 0"),
        ("{-1::a|b}", "column 2: a weight must be such as 2 or 0.25, with at most six digits after the point, not"),
        ("${x} ${x={a|b}}", "column 1: variable x is not set; set it before, as in ${x={a|b}}"),
        ("{${x=a}|b}", "column 2: ${x=...} stands inside braces"),
        ("${x=a|b}", 'column 6: "|" stands in ${x=...} outside of braces'),
        ("${x=a}${x=b}", "column 7: variable x is set twice"),
        ("${x:red}", "column 1: ${x:...} is not known here"),
        ("a __nowhere__", "column 3: __nowhere__: nowhere.txt: there is no such file"),
        ("{" * 40 + "a" + "}" * 40, "braces stand more than 32 deep"),
        ("__circle__", "column 1: __circle__: circle.txt:1:3: __round__: round.txt:2:1: wildcards go round"),
        ("__circle__", "circle -> round -> circle; break it"),
        ("__self__", "self.txt:1:1: wildcards go round in a circle: self -> self"),
        ("__broken__", 'broken.txt:2:5: "{" is never closed'),
        ("__empty__", "empty.txt: holds nothing to choose"),
        ("__variable__", "variable.txt:1:1: variables are used in prompts, not in wildcards"),
        ("__laughs0__", "may take"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named_with_its_place(template: str, said: str) -> None:
    """Each fault has the column in the prompt, and in a wildcard its file, line and column."""
    wildcards = {
        "circle": "a __round__",
        "round": "b\n__circle__",
        "self": "__self__",
        "broken": "good\n 2::{a|b",
        "empty": "# nothing\n\n",
        "variable": "${x}",
    } | {f"laughs{level}": f"__laughs{level + 1}__" * 10 for level in range(12)}
    with pytest.raises(TemplateError) as refused:
        bound(template, wildcards | {"laughs12": "ha"})
    assert said in str(refused.value)


def test_wildcards_that_are_very_deep_are_refused_in_any_order() -> None:
    """A ladder of wildcards is refused, not recursed into, be its lowest rungs bound before or not."""
    ladder = {f"w{rung}": f"__w{rung + 1}__" for rung in range(2000)} | {"w2000": "end"}
    with pytest.raises(TemplateError, match="more than 64 deep"):
        bound("__w0__", ladder)
    upwards = "".join(f"__w{rung}__" for rung in range(2000, 0, -1))
    with pytest.raises(TemplateError, match="more than 64 deep"):
        bound(upwards, ladder)


def test_what_explodes_is_counted_without_being_written_out() -> None:
    """The count of a template that no computer could expand is exact, and beyond all bounds it is `MANY`."""
    assert bound("{a|b|c}" * 100).count == 3**100
    assert bound("{a|b|c}" * 1000).count == MANY
    assert bound("{20$$" + "|".join("abcdefghij" * 4) + "}").count == 137846528820


def test_weights_decide_how_often() -> None:
    """An option of weight 9 beside one of weight 1 comes nine times in ten."""
    found = drawn("{9::often|rarely}", 2000)
    assert 1700 < found.count("often") < 1900


def test_dice_fall_the_same_way_for_ever() -> None:
    """What a key draws is part of what a manifest means, so it never changes."""
    dice = Dice(b"spotrender")
    assert [dice.below(1000) for _ in range(8)] == [554, 869, 970, 192, 179, 237, 161, 7]


LEAVES = st.sampled_from(["a", "b", "", " x ", "__colour__", "${v}", r"\{", "c"])


def choices(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Choices over smaller templates, with and without numbers and weights."""
    options = st.lists(inner, min_size=2, max_size=3).map("|".join)
    heads = st.sampled_from(["", "1$$", "2$$ & $$", "-1$$", "1-2$$", "2::"])
    return st.one_of(st.builds("{{{}{}}}".format, heads, options), st.lists(inner, min_size=1, max_size=3).map("".join))


TEMPLATES = st.recursive(LEAVES, choices, max_leaves=8).map("${{v={{1|2}}}}{}".format)


@given(TEMPLATES)
def test_every_text_has_one_place_and_dice_find_no_others(template: str) -> None:
    """There are exactly `count` texts; each one that dice draw is among them; none is longer than `size`."""
    form = bound(template, COLOURS)
    if form.count <= 5000:
        every = [form.at(index, {}) for index in range(form.count)]
        assert max(map(len, every)) <= form.size
        assert set(drawn(template, 20, COLOURS)) <= set(every)


@given(st.text(alphabet="ab{}|$_\\:0123-.=!/c", max_size=40))
def test_any_text_is_a_template_or_refused_with_a_column(text: str) -> None:
    """No text makes the parser hang or break, and one without marks stands for itself."""
    form, column = bound_or_column(text)
    if form is None:
        assert 1 <= column <= len(text) + 1
        return
    assert len(form.at(0, {})) <= form.size
    assert not is_plain(text) or (form.count == 1 and form.at(0, {}) == text)


def bound_or_column(text: str) -> tuple[Form | None, int]:
    """The form, or the column of what is wrong."""
    try:
        return bound(text, {"a": "1", "b": "__a__|2"}), 0
    except TemplateError as error:
        return None, error.column or 0


@given(st.integers(1, 5), st.integers(0, 5), st.integers(0, 5), st.data())
def test_several_of_some_are_their_combinations(options: int, low: int, more: int, data: st.DataObject) -> None:
    """`{2-3$$...}` is what itertools makes of it, inner choices and all."""
    high = min(options, low + more)
    low = min(low, high)
    inner = [data.draw(st.integers(1, 3)) for _ in range(options)]
    written = [
        "{" + "|".join(f"{letter}{n}" for n in range(count)) + "}"
        for letter, count in zip("abcde", inner, strict=False)
    ]
    every = [[f"{letter}{n}" for n in range(count)] for letter, count in zip("abcde", inner, strict=False)]
    meant = [
        "+".join(chosen)
        for number in range(low, high + 1)
        for places in combinations(range(options), number)
        for chosen in product(*(every[place] for place in places))
    ]
    assert sorted(texts(f"{{{low}-{high}$$+$${'|'.join(written)}}}")) == sorted(meant)
