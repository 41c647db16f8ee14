"""Sorting and cursors."""

import pytest

from aggregator.errors import Invalid
from aggregator.services import paging
from aggregator.services.paging import SortKey, decode_cursor, encode_cursor, parse_sort

ALLOWED = ["name", "price"]
ID = "00000000-0000-0000-0000-00000000000a"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("name", (SortKey("name"),)),
        ("-name", (SortKey("name", True),)),
        (" name , -price ", (SortKey("name"), SortKey("price", True))),
    ],
)
def test_a_sort_is_names_with_a_minus_or_without(text, keys):
    assert parse_sort(text, ALLOWED) == keys


@pytest.mark.parametrize("text", ["", "nam", "name;", "name,name", "-name,name", "--name", ",", "name price"])
def test_a_sort_that_makes_no_sense_is_refused_with_what_there_is(text):
    with pytest.raises(Invalid) as refusal:
        parse_sort(text, ALLOWED)

    assert refusal.value.extra["errors"] == {
        "query": {"sort": ["Sort by some of name, price; a minus before one turns it around."]}
    }


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ([5, ID], [paging.is_number, paging.is_uuid]),
        ([-(2**63) + 1, 7], [paging.is_number, paging.is_number]),
        (['é 漢字 😀 " \n \u00a0 \u200b', ID], [paging.is_text, paging.is_uuid]),
        (["2026-01-02T03:04:05.678901Z", "", ID], [paging.is_moment, paging.is_text, paging.is_uuid]),
    ],
)
def test_a_cursor_leads_back_to_its_values(values, kinds):
    cursor = encode_cursor(values)

    assert decode_cursor(cursor, kinds) == {f"after_{index}": value for index, value in enumerate(values)}
    assert cursor.isascii()
    assert "=" not in cursor


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ([5], [paging.is_number, paging.is_uuid]),
        ([5, ID, 6], [paging.is_number, paging.is_uuid]),
        (["5"], [paging.is_number]),
        ([5.0], [paging.is_number]),
        ([True], [paging.is_number]),
        ([None], [paging.is_number]),
        ([2**63], [paging.is_number]),
        ([5], [paging.is_text]),
        (["a\0b"], [paging.is_text]),
        (["yesterday"], [paging.is_moment]),
        (["2026-01-02"], [paging.is_moment]),
        ([5], [paging.is_moment]),
        (["2026-02-30T03:04:05.678901Z"], [paging.is_moment]),
        (["none"], [paging.is_uuid]),
        ([5], [paging.is_uuid]),
        ([[ID]], [paging.is_uuid]),
        ([ID.upper()], [paging.is_uuid]),
        (["{" + ID + "}"], [paging.is_uuid]),
    ],
)
def test_a_cursor_with_values_of_another_kind_is_refused(values, kinds):
    with pytest.raises(Invalid):
        decode_cursor(encode_cursor(values), kinds)


@pytest.mark.parametrize(
    "change",
    [
        lambda cursor: f"{cursor}!",
        lambda cursor: f" {cursor}",
        lambda cursor: f"{cursor}\n",
        lambda cursor: f"{cursor[:4]}.{cursor[4:]}",
        lambda cursor: f"{cursor[:4]}é{cursor[4:]}",
        lambda cursor: f"{cursor}==",
        lambda cursor: cursor.replace("_", "/"),
        lambda cursor: cursor.replace("-", "+"),
    ],
)
def test_a_cursor_with_a_foreign_character_in_it_is_refused(change):
    cursor = encode_cursor(["??>>", "é漢~~~"])
    assert {"_", "-"} < set(cursor)

    with pytest.raises(Invalid):
        decode_cursor(change(cursor), [paging.is_text, paging.is_text])


@pytest.mark.parametrize("cursor", ["", "!", "é", "x", "bnVsbA", "e30", "NQ", "IjUi", "W10", "A" * 1999])
def test_anything_else_is_no_cursor(cursor):
    with pytest.raises(Invalid) as refusal:
        decode_cursor(cursor, [paging.is_number])

    assert refusal.value.extra["errors"] == {"query": {"cursor": ["Not a cursor of this list, sorted like this."]}}
