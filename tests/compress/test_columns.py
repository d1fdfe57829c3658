"""The ways in which the values of a column are written, each alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.compress.notation.columns import Digits, Flag, Picture, Texts, Values, Words, digits_for


@given(values=st.lists(st.integers(-(10**13), 10**14), min_size=1))
def test_integers_come_back_from_fields_of_one_width(values):
    found = digits_for(values)
    fields = found.write(values)
    assert {len(field) for field in fields} == {found.width}
    assert found.width % 3 == 0
    assert [found.read(field) for field in fields] == values


@given(values=st.lists(st.decimals(-999, 99999, places=3).map(float), min_size=1))
def test_decimals_come_back_exactly(values):
    found = digits_for(values)
    if found is None:
        assert any(str(value) == "-0.0" for value in values)
    else:
        assert json.dumps([found.read(field) for field in found.write(values)]) == json.dumps(values)


@pytest.mark.parametrize(
    "values", [[10**15], [1e300], [1e-9], [0.1, 1], [True], [-0.0, 1.5], ["1"], [0.1234567890123456]]
)
def test_what_is_no_field_of_digits(values):
    assert digits_for(values) is None


@pytest.mark.parametrize(
    ("values", "notation"), [([7], "###"), ([1000], "######"), ([6.25, 1.5], "#.##"), ([0.25], "#.##")]
)
def test_the_template_shows_the_decimal_point(values, notation):
    assert digits_for(values).notation == notation


@pytest.mark.parametrize("value", [1000, "7", 1.5, True, None])
def test_a_value_that_does_not_fit_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        Digits(3).write([value])


@pytest.mark.parametrize("value", [1.25, 1, "1.5", -0.0, 1e308])
def test_a_decimal_that_does_not_fit_is_refused(value):
    with pytest.raises((ValueError, TypeError, OverflowError)):
        Digits(3, 1).write([value])


@given(st.datetimes())
def test_dates_come_back_from_their_picture(when):
    text = when.strftime("2026-%m-%dT%H:%M:%SZ")
    picture = Picture("2026-##-##T##:##:##Z")
    assert picture.width == 12
    assert picture.read(picture.write([text])[0]) == text


@pytest.mark.parametrize("text", ["T1:39Z", "T10:39z", "T1٣:39Z", "", "T10:39Z "])
def test_a_string_of_another_picture_is_refused(text):
    with pytest.raises(ValueError, match="picture"):
        Picture("T##:##Z").write([text])


@pytest.mark.parametrize("field", ["", "12", "a12", "-12", "١٢٣"])
def test_fields_that_are_no_digits_are_refused(field):
    with pytest.raises(ValueError):
        Picture("T##:#Z").read(field or "x")
    with pytest.raises(ValueError):
        Digits(3).read("x" + field)


@given(st.lists(st.booleans()))
def test_flags(values):
    assert [Flag().read(cell) for cell in Flag().write(values)] == values
    with pytest.raises(ValueError, match="x"):
        Flag().read("x")


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_bare_words_keep_their_type(value):
    assert json.dumps(Words().read(Words().write([value])[0])) == json.dumps(value)
    assert json.dumps(Values().read(Values().write([value])[0])) == json.dumps(value)


@given(st.text())
def test_strings_that_look_like_something_else_are_quoted(text):
    for format_ in (Words(), Values(), Texts()):
        written = format_.write([text])[0]
        assert "\n" not in written
        if written.startswith('"'):
            assert json.loads(written) == text
        else:
            assert format_.read(written) == text
            assert " " not in written


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), (1,), b"x"])
def test_words_are_json(value):
    with pytest.raises((ValueError, KeyError)):
        Words().write([value])
