"""Fields: what they take, and what they refuse."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from marshmallow import ValidationError

from aggregator.schemas.fields import Boolean, Integer, Moment, Number, QueryInteger, Text, Timestamp


def refused(field, value) -> list[str]:
    with pytest.raises(ValidationError) as refusal:
        field.deserialize(value)
    return refusal.value.messages


class TestText:
    field = Text(min_length=1, max_length=3)

    @pytest.mark.parametrize("value", ["a", "abc", "😀😀😀", " ", "\n", "\u200b"])
    def test_takes_any_characters_within_its_length(self, value):
        assert self.field.deserialize(value) == value

    @pytest.mark.parametrize("value", ["", "abcd"])
    def test_refuses_other_lengths(self, value):
        assert refused(self.field, value) == ["Length must be between 1 and 3."]

    @pytest.mark.parametrize("value", ["\0", "a\0b", "\ud800", "a\udc00"])
    def test_refuses_what_no_database_stores(self, value):
        assert refused(self.field, value) == ["Contains a character that cannot be stored."]

    @pytest.mark.parametrize("value", [5, True, ["a"], {"a": 1}])
    def test_refuses_what_is_no_text(self, value):
        assert refused(self.field, value) == ["Not a valid string."]

    def test_may_be_empty_unless_told_otherwise(self):
        assert Text(max_length=3).deserialize("") == ""


class TestInteger:
    field = Integer(minimum=0, maximum=9)

    @pytest.mark.parametrize("value", [0, 5, 9])
    def test_takes_whole_numbers_within_its_bounds(self, value):
        assert self.field.deserialize(value) == value

    def test_takes_a_whole_number_that_is_written_as_a_fraction(self):
        assert repr(self.field.deserialize(5.0)) == "5"

    @pytest.mark.parametrize("value", [-1, 10, 2**63, -(10**400)])
    def test_refuses_others(self, value):
        assert refused(self.field, value) == ["Must be greater than or equal to 0 and less than or equal to 9."]

    @pytest.mark.parametrize("value", [True, False, "5", "", 5.5, float("inf"), float("nan"), [5], {}])
    def test_refuses_what_is_no_whole_number(self, value):
        assert refused(self.field, value) == ["Not a valid integer."]


class TestNumber:
    field = Number(minimum=0, maximum=5)

    @pytest.mark.parametrize("value", [0, 5, 4.5])
    def test_takes_numbers_within_its_bounds(self, value):
        assert self.field.deserialize(value) == value

    @pytest.mark.parametrize("value", [True, "4", "nan", [4]])
    def test_refuses_what_is_no_number(self, value):
        assert refused(self.field, value) == ["Not a valid number."]

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_refuses_what_json_does_not_know(self, value):
        assert refused(self.field, value) == ["Special numeric values (nan or infinity) are not permitted."]

    @pytest.mark.parametrize("value", [-0.1, 5.1])
    def test_refuses_what_is_out_of_bounds(self, value):
        assert refused(self.field, value) == ["Must be greater than or equal to 0 and less than or equal to 5."]

    def test_refuses_more_decimals_than_there_may_be(self):
        field = Number(minimum=0, maximum=5, decimals=2)

        assert [field.deserialize(value) for value in (0.07, 1.1, 3)] == [0.07, 1.1, 3]
        assert refused(field, 0.125) == ["No more than 2 decimals."]


class TestBoolean:
    @pytest.mark.parametrize("value", [True, False])
    def test_takes_true_and_false(self, value):
        assert Boolean().deserialize(value) is value

    @pytest.mark.parametrize("value", [0, 1, "true", "off", "", [], {}])
    def test_refuses_what_only_stands_for_one(self, value):
        assert refused(Boolean(), value) == ["Not a valid boolean."]


class TestQueryInteger:
    field = QueryInteger(minimum=1, maximum=10**12)

    @pytest.mark.parametrize(("value", "number"), [("1", 1), ("0010", 10), (str(10**12), 10**12)])
    def test_reads_numbers(self, value, number):
        assert self.field.deserialize(value) == number

    @pytest.mark.parametrize("value", ["", "x", "1.5", "1e3", "9" * 21, "9" * 100_000])
    def test_refuses_what_is_none_at_once(self, value):
        assert refused(self.field, value) == ["Not a valid integer."]

    @pytest.mark.parametrize("value", ["0", "-1", str(10**12 + 1)])
    def test_refuses_what_is_out_of_bounds(self, value):
        assert "Must be greater than or equal to 1" in refused(self.field, value)[0]


class TestMoment:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
            ("1969-12-31T23:00:00-01:00", datetime(1970, 1, 1, tzinfo=UTC)),
            ("2026-01-02T03:04:05.678901+02:00", datetime(2026, 1, 2, 1, 4, 5, 678_901, UTC)),
            ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ],
    )
    def test_is_read_in_utc(self, text, moment):
        assert Moment().deserialize(text) == moment

    @pytest.mark.parametrize(
        "text",
        ["1969-12-31T23:59:59Z", "1970-01-01T00:00:00+01:00", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+09:00"],
    )
    def test_one_before_1970_is_refused_in_words(self, text):
        assert refused(Moment(), text) == ["Must not be before 1970."]

    @pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59-01:00", 5])
    def test_what_is_none_is_refused(self, text):
        assert refused(Moment(), text) == ["Not a valid datetime."]

    def test_one_without_an_offset_is_refused(self):
        assert refused(Moment(), "2026-01-02T03:04:05") == ["Not a valid aware datetime."]


class TestTimestamp:
    @pytest.mark.parametrize(
        ("moment", "text"),
        [
            (datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC), "2026-01-02T03:04:05.678901Z"),
            (datetime(2026, 1, 2, 3, 4, 5, 0, UTC), "2026-01-02T03:04:05.000000Z"),
            (datetime(2026, 1, 2, 3, 4, 5, 1, timezone(timedelta(hours=-9))), "2026-01-02T12:04:05.000001Z"),
            (None, None),
        ],
    )
    def test_is_written_in_utc_with_six_digits_and_a_z(self, moment, text):
        assert Timestamp().serialize("at", {"at": moment}) == text
