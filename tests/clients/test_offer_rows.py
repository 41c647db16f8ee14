"""Whatever comes over the wire, only whole and sane rows come out, and nothing worse than a ValueError."""

import json
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator.clients.offer_rows import (
    MAX_PRICE,
    MAX_STOCK,
    OfferRows,
    changed_rows,
    is_plain,
    parse_json,
    parse_offers,
)

A = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
B = "ffffffff-ffff-ffff-ffff-ffffffffffff"
GOOD = f'{{"id":"{A}","price":100,"items_in_stock":5}}'


def offers(*rows: str) -> OfferRows:
    return parse_offers(f"[{','.join(rows)}]".encode())


def row(id: str = json.dumps(B), price: str = "7", stock: str = "3", more: str = "") -> str:
    return f'{{"id":{id},"price":{price},"items_in_stock":{stock}{more}}}'


class TestAGoodAnswer:
    def test_comes_out_as_prices_and_stocks_by_id(self):
        assert offers(GOOD, row()) == OfferRows({A: (100, 5), B: (7, 3)})

    def test_may_be_empty(self):
        assert offers() == OfferRows({}, {}, set(), True)

    def test_may_have_members_that_nobody_asked_for(self):
        assert offers(row(more=',"shop":{"name":"x"},"currency":"EUR"')).rows == {B: (7, 3)}

    def test_may_be_spelled_with_blanks_and_in_any_order_of_members(self):
        spelled = f'\r\n\t [ {{ "items_in_stock" : 5 , "price" : 100 , "id" : "{A}" }} ] \n'

        assert parse_offers(spelled.encode()).rows == {A: (100, 5)}

    @pytest.mark.parametrize("price", [0, 1, MAX_PRICE])
    @pytest.mark.parametrize("stock", [0, 1, MAX_STOCK])
    def test_prices_and_stocks_go_from_nothing_to_their_limits(self, price, stock):
        assert offers(row(price=str(price), stock=str(stock))).rows == {B: (price, stock)}

    @pytest.mark.parametrize(
        ("written", "number"), [("2100.0", 2100), ("0.0", 0), ("-0.0", 0), ("1e2", 100), ("1E+9", 10**9)]
    )
    def test_a_number_is_whole_however_it_is_written(self, written, number):
        assert offers(row(price=written, stock=written)) == OfferRows({B: (number, number)})


class TestIds:
    @pytest.mark.parametrize("version", range(16))
    @pytest.mark.parametrize("variant", ["0", "4", "8", "c", "f"])
    def test_a_uuid_may_be_of_any_version_and_variant(self, version, variant):
        upstream_id = f"12345678-9abc-{version:x}def-{variant}123-456789abcdef"

        assert list(offers(row(json.dumps(upstream_id))).rows) == [upstream_id]

    def test_upper_case_is_the_same_id_in_lower_case(self):
        parsed = offers(row(json.dumps(A.upper())), row(json.dumps(A)))

        assert parsed == OfferRows({A: (7, 3)})

    @pytest.mark.parametrize("number", [0, 1, 2**40, 2**63 - 1])
    def test_a_number_of_the_first_generation_becomes_text(self, number):
        assert offers(row(str(number))).rows == {str(number): (7, 3)}

    @pytest.mark.parametrize(
        "written",
        [
            "null",
            "true",
            "false",
            "-1",
            "12.0",
            "1e3",
            str(2**63),
            "9" * 4300,
            '""',
            '"12"',
            '"abc"',
            f'"{{{A}}}"',
            f'"urn:uuid:{A}"',
            f'"{A.replace("-", "")}"',
            f'" {A}"',
            f'"{A}\\n"',
            f'"{A}\\u0000"',
            f'"{A[:-1]}g"',
            f'"{A[:-1]}\\u0660"',
            '"\\ud800"',
            f'["{A}"]',
            f'{{"id":"{A}"}}',
        ],
    )
    def test_what_is_no_id_is_counted_and_makes_the_answer_incomplete(self, written):
        parsed = offers(row(written), GOOD)

        assert parsed == OfferRows({A: (100, 5)}, {"bad id": 1}, set(), complete=False)

    @pytest.mark.parametrize("element", ["null", "7", "true", '"text"', "[]", f'["{A}",1,2]', "{}", '{"price":1}'])
    def test_an_element_that_does_not_say_which_offer_it_is_makes_the_answer_incomplete(self, element):
        parsed = offers(element, GOOD, element)

        assert parsed == OfferRows({A: (100, 5)}, {"bad id": 2}, set(), complete=False)


WRONG_NUMBERS = [
    "null",
    "true",
    "false",
    '"12"',
    '""',
    "12.5",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e13",
    "-1.0",
    "1e400",
    "-1e400",
    "-1",
    "-9223372036854775809",
    str(MAX_PRICE + 1),
    str(2**63),
    "1" + "0" * 4299,
    "[12]",
    '{"amount":12}',
]


class TestBadRows:
    @pytest.mark.parametrize("written", WRONG_NUMBERS)
    def test_a_wrong_price_costs_its_row_only(self, written):
        parsed = offers(row(price=written), GOOD)

        assert parsed == OfferRows({A: (100, 5)}, {"bad price": 1}, {B}, complete=True)

    @pytest.mark.parametrize("written", [*WRONG_NUMBERS, str(MAX_STOCK + 1)])
    def test_a_wrong_stock_costs_its_row_only(self, written):
        parsed = offers(GOOD, row(stock=written))

        assert parsed == OfferRows({A: (100, 5)}, {"bad stock": 1}, {B}, complete=True)

    @pytest.mark.parametrize("without", ["price", "items_in_stock"])
    def test_a_missing_member_costs_its_row_only(self, without):
        members = {"id": B, "price": 7, "items_in_stock": 3}
        del members[without]
        parsed = offers(json.dumps(members), GOOD)

        assert (parsed.rows, parsed.rejected_ids, parsed.complete) == ({A: (100, 5)}, {B}, True)

    @pytest.mark.parametrize("order", [1, -1])
    def test_an_id_with_a_bad_row_and_a_good_one_is_not_known_at_all(self, order):
        parsed = offers(*[row(price="-1"), row()][::order], GOOD)

        assert parsed.rows == {A: (100, 5)}
        assert parsed.rejected_ids == {B}


class TestTheExample:
    @pytest.mark.parametrize(
        ("bad", "example"),
        [
            (row(price='"12"'), (B, 'bad price: "12"')),
            (row(price="NaN"), (B, "bad price: NaN")),
            (row(stock="null"), (B, "bad stock: null")),
            (row("null"), (None, "bad id: null")),
            ("7", (None, "bad id: 7")),
            (row(price=json.dumps("\0" + "x" * 1000)), (B, 'bad price: "\\u0000' + "x" * 53)),
        ],
    )
    def test_is_the_first_row_that_was_rejected_with_what_was_wrong(self, bad, example):
        parsed = offers(GOOD, bad, row(price="true"))

        assert parsed.example == example
        assert parsed.rejection == (2, example[1], example[0])

    def test_is_none_where_no_row_was(self):
        assert offers(GOOD).rejection == (0, None, None)


class TestTheSameIdTwice:
    def test_alike_counts_as_one(self):
        assert offers(row(), row()) == OfferRows({B: (7, 3)})

    @pytest.mark.parametrize("other", [row(price="8"), row(stock="4")])
    def test_with_other_numbers_the_last_one_counts_and_it_is_noted(self, other):
        assert offers(other, row()) == OfferRows({B: (7, 3)}, {"listed twice": 1})


class TestAnAnswerThatCannotBeReliedUpon:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b"[",
            b"[]]",
            b"[] []",
            f"[{GOOD}".encode(),
            f"[{GOOD},]".encode(),
            f"[{GOOD}]x".encode(),
            b"null",
            b"true",
            b"12",
            b'"[]"',
            b"{}",
            f'{{"offers":[{GOOD}]}}'.encode(),
            b"\xef\xbb\xbf[]",
            "[]".encode("utf-16"),
            b'["\xff"]',
            b"<!DOCTYPE html><html></html>",
            b"'[]'",
            b"[1,2,3] // note",
        ],
    )
    def test_is_refused_as_a_whole(self, body):
        with pytest.raises(ValueError):
            parse_offers(body)

    @pytest.mark.parametrize(
        "twice",
        [row(more=',"price":7'), row(more=f',"id":"{A}"'), '{"a":1,"a":1}', row(more=',"shop":{"x":1,"x":1}')],
    )
    def test_has_one_key_twice_in_an_object_at_any_depth(self, twice):
        with pytest.raises(ValueError, match="twice"):
            offers(GOOD, twice)

    def test_has_a_number_of_thousands_of_digits(self):
        with pytest.raises(ValueError):
            offers(GOOD, row(price="9" * 5000))

    @pytest.mark.parametrize(
        "nested",
        [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000],
        ids=["open", "closed", "objects"],
    )
    def test_is_nested_deeper_than_anybody_needs(self, nested):
        with pytest.raises(ValueError):
            parse_offers(nested)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
likely_ids = st.sampled_from([A, B, A.upper(), 1, 2**63, -1, True, None, "x"]) | st.uuids().map(str)
likely_numbers = st.integers() | st.sampled_from([0, MAX_PRICE, MAX_STOCK, True, None, 1.0, "1"]) | st.floats()
likely_rows = st.fixed_dictionaries(
    {}, optional={"id": likely_ids, "price": likely_numbers, "items_in_stock": likely_numbers}
)


class TestAnything:
    @given(st.binary())
    @example(b"\xed\xa0\x80")
    @example(b'["\\ud800"]')
    @example(b"[" * 3000)
    def test_bytes_are_parsed_or_refused_with_a_value_error(self, body):
        for parse in (parse_json, parse_offers):
            try:
                parse(body)
            except ValueError:
                continue

    @given(st.lists(json_values | likely_rows))
    def test_a_list_of_anything_gives_rows_that_the_database_can_hold(self, elements):
        body = json.dumps(elements).encode()
        try:
            parsed = parse_offers(body)
        except ValueError:
            assert any(constant in body for constant in (b"NaN", b"Infinity")), "only this refuses such a list"
            return

        for upstream_id, (price, stock) in parsed.rows.items():
            assert upstream_id.isdigit() or str(UUID(upstream_id)) == upstream_id
            assert type(price) is int
            assert 0 <= price <= MAX_PRICE
            assert type(stock) is int
            assert 0 <= stock <= MAX_STOCK
        assert not parsed.rows.keys() & parsed.rejected_ids
        assert parsed.complete is ("bad id" not in parsed.rejected)

    @given(st.lists(likely_rows))
    def test_every_row_is_taken_or_counted_and_none_twice(self, elements):
        clean = [row for row in elements if not any(isinstance(value, float) for value in row.values())]
        parsed = parse_offers(json.dumps(clean).encode())
        bad = sum(parsed.rejected.get(reason, 0) for reason in ("bad id", "bad price", "bad stock"))

        assert bad + len(parsed.rows) + parsed.rejected.get("listed twice", 0) <= len(clean)
        assert bad or len(parsed.rows) == len({str(row["id"]).lower() for row in clean})


ids = st.sampled_from([json.dumps(A), json.dumps(B), json.dumps(A.upper()), "7", "12", '"7"', "007", "null"])
numbers = st.sampled_from(["0", "1", "25", "-1", "007", "1.0", "true", str(MAX_PRICE), str(10 * MAX_PRICE), "1e3"])
tails = st.sampled_from(
    ["", ',"x":"}"', ',"x":"},{"', ',"x":{}', ',"x":[{"id":7,"price":1,"items_in_stock":1}]', " ", "\v"]
)
some_rows = st.lists(st.builds(row, ids, numbers, numbers, tails), max_size=5)


def read(body: bytes) -> OfferRows | None:
    try:
        return parse_offers(body)
    except ValueError:
        return None


class TestChangedRows:
    def test_are_those_that_differ(self):
        before = f"[{GOOD}, {row()}, {row('7')}]".encode()
        after = f"[{GOOD}, {row(price='8')}, {row('7')}]".encode()

        assert changed_rows(before, after) == OfferRows({B: (8, 3)}, before={B: (7, 3)})

    @example(before=[row("7"), row("8"), row("9")], after=[row("7"), row("8", "1"), row("9")], comma=",")
    @given(before=some_rows, after=some_rows, comma=st.sampled_from([",", ", ", "},{", ",\n "]))
    def test_are_told_only_where_reading_all_of_both_answers_says_the_same(self, before, after, comma):
        # Rows that stay where they are, so that there is something to tell.
        after = [new if index % 2 else old for index, (old, new) in enumerate(zip(before, after, strict=False))]
        old, new = (f"[{comma.join(rows)}]".encode() for rows in (before, after))
        was, now = read(old), read(new)
        changed = changed_rows(old, new) if was is not None and is_plain(old, was) else None

        if changed is not None:
            assert was is not None
            assert now is not None
            assert now.rejected == {}
            assert was.rows | changed.rows == now.rows
            assert {id: was.rows[id] for id in changed.rows} == changed.before
