"""Prices, percentages and moments as people read them."""

from zoneinfo import ZoneInfo

import pytest

from aggregator.services import formats


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (0, "EUR", "0.00 EUR"),
        (5, "EUR", "0.05 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (4284, "EUR", "42.84 EUR"),
        (123450, "CZK", "1,234.50 CZK"),
        (10**12, "EUR", "10,000,000,000.00 EUR"),
        (0, "JPY", "0 JPY"),
        (1234567, "JPY", "1,234,567 JPY"),
        (1234, "KWD", "1.234 KWD"),
        (12345, "CLF", "1.2345 CLF"),
        (42, "XYZ", "0.42 XYZ"),
    ],
)
def test_money_has_the_decimals_of_its_currency(minor, currency, text):
    assert formats.money(minor, currency) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-12.5, "-12.5 %"),
        (3.0, "+3 %"),
        (0.01, "+0.01 %"),
        (-100.0, "-100 %"),
        (12345.67, "+12,345.67 %"),
        (0.0, "0 %"),
        (10.0, "+10 %"),
    ],
)
def test_a_percentage_has_its_sign_and_no_decimals_that_say_nothing(value, text):
    assert formats.percent(value) == text


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "29 March 2026, 00:59"),
        ("Europe/Prague", "29 March 2026, 01:59"),
        ("Pacific/Kiritimati", "29 March 2026, 14:59"),
        ("America/Sao_Paulo", "28 March 2026, 21:59"),
    ],
)
def test_a_moment_is_told_by_the_clock_of_the_place(zone, text):
    assert formats.moment("2026-03-29T00:59:59.999999Z", ZoneInfo(zone)) == text


def test_a_day_is_told_with_its_name():
    assert formats.day("2026-11-05") == "Thursday, 5 November 2026"
