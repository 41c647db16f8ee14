"""CSV whose quotes are wrong: which rows that costs, and that it costs no others."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.services.csv_records import MAX_RECORD, MISPLACED, UNCLOSED, Records, cells_of


def read(text: str, columns: int = 2) -> list[tuple[int, tuple[str, ...] | str]]:
    """The records of a text: their lines with their cells, or with what is wrong."""
    lines = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", newline="")
    records = Records(lines, ",", lambda cells: len(cells) == columns)
    return [(record.line, record.problem or record.cells) for record in records]


def written(rows: list[list[str]], line_end: str = "\r\n") -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator=line_end).writerows(rows)
    return file.getvalue()


class TestCells:
    @pytest.mark.parametrize(
        ("text", "cells"),
        [
            ("a,b\r\n", ("a", "b")),
            ("a,b", ("a", "b")),
            ('"a,""b""",\n', ('a,"b"', "")),
            ('"two\r\nlines","",x\r', ("two\r\nlines", "", "x")),
            ("\n", ("",)),
            (" a , b \n", (" a ", " b ")),
        ],
    )
    def test_are_what_stands_between_commas_and_in_quotes(self, text, cells):
        assert cells_of(text) == cells

    @pytest.mark.parametrize("text", ['a"b\n', 'a,"b" \n', 'a, "b"\n', '"a"b,c\n', 'a,5"\n', '5"" x,a\n'])
    def test_have_quotes_around_them_or_none(self, text):
        with pytest.raises(ValueError, match="A quote is not in its place"):
            cells_of(text)


class TestUnclosedQuotes:
    def test_swallow_no_rows(self):
        assert read('a,"unclosed\r\nb,ok\r\nc,"fine"\r\n') == [(1, UNCLOSED), (2, ("b", "ok")), (3, ("c", "fine"))]

    def test_swallow_none_where_another_one_would_close_them(self):
        text = 'a,"unclosed\nb,ok\nc,"two\nlines"\nd,ok\n'

        assert read(text) == [(1, MISPLACED), (2, ("b", "ok")), (3, ("c", "two\nlines")), (5, ("d", "ok"))]

    def test_swallow_none_where_that_would_make_a_row_of_all_its_cells(self):
        """Read on to the next quote, the first three lines are one row of two cells."""
        text = 'a,"unclosed\nb,ok\nc,"\ntwo\nlines"\nd,ok\n'

        assert read(text) == [(1, UNCLOSED), (2, ("b", "ok")), (3, ("c", "\ntwo\nlines")), (6, ("d", "ok"))]

    def test_in_each_row_cost_each_row(self):
        assert read('a,"1\nb,"2\nc,"3\n') == [(1, MISPLACED), (2, MISPLACED), (3, UNCLOSED)]

    def test_at_the_end_cost_the_last_row(self):
        assert read('a,1\nb,"2') == [(1, ("a", "1")), (2, UNCLOSED)]

    def test_are_looked_after_only_so_far(self):
        rows = "".join(f"r{number},ok\n" for number in range(40_000))
        seen = []

        def lines():
            for line in f'a,"unclosed\n{rows}'.splitlines(keepends=True):
                seen.append(line)
                yield line

        first = next(iter(Records(lines(), ",", lambda cells: len(cells) == 2)))

        assert first.problem == UNCLOSED
        assert MAX_RECORD <= sum(map(len, seen)) < MAX_RECORD + 20


class TestMisplacedQuotes:
    def test_cost_their_rows(self):
        text = 'a,"5" pipe"\nb,"3 m "long""\nc,"x"y\nd,5" pipe\ne,"5"" pipe"\n'

        assert read(text) == [*((line, MISPLACED) for line in (1, 2, 3, 4)), (5, ("e", '5" pipe'))]

    def test_of_a_row_cost_not_the_one_before(self):
        assert read('a,ok\nb,5"\nc,"1,2\nd,ok\n') == [(1, ("a", "ok")), (2, MISPLACED), (3, UNCLOSED), (4, ("d", "ok"))]

    def test_that_should_have_been_opened_cost_the_row_that_seemed_to_be_whole(self):
        """Without its quote the first line says something else than was written."""
        problem = "It may go on in line 3, where a quote is not in its place."

        found = read('a,one\ntwo\nthree"\nb,ok\n')

        assert found == [(1, problem), (2, ("two",)), (3, MISPLACED), (4, ("b", "ok"))]


class TestLineEnds:
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_are_all_read(self, end):
        assert read(f'a,1{end}b,"x{end}y"{end}{end}c,2') == [
            (1, ("a", "1")),
            (2, ("b", f"x{end}y")),
            (4, ("",)),
            (5, ("c", "2")),
        ]

    def test_may_be_mixed(self):
        assert [cells for _, cells in read("a,1\r\nb,2\nc,3\rd,4")] == [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]


def test_a_row_is_only_so_long():
    assert read("a," + "x" * MAX_RECORD + "\nb,1\n") == [(1, f"Longer than {MAX_RECORD} characters."), (2, ("b", "1"))]


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.lists(st.text(max_size=9), min_size=2, max_size=2), max_size=6), end=st.sampled_from("\n\r"))
def test_what_a_writer_of_csv_has_written_is_read_as_it_was(rows, end):
    rows = [[cell.encode("utf-8", "replace").decode() for cell in row] for row in rows]

    assert [cells for _, cells in read(written(rows, end))] == [tuple(row) for row in rows]


def rows_of(alphabet: str) -> st.SearchStrategy[list[list[str]]]:
    texts = st.lists(st.text(alphabet=alphabet, max_size=9), min_size=1, max_size=6)
    return texts.map(lambda texts: [[f"n{number}", text] for number, text in enumerate(texts)])


@st.composite
def damaged(draw, alphabet: str) -> tuple[list[list[str]], set[int], str]:
    """Rows, which of them a quote too many or too few touches, and the text with it."""
    rows = draw(rows_of(alphabet))
    whole = written(rows)
    ends = [len(written(rows[:number])) for number in range(len(rows) + 1)]
    quotes = [index for index, character in enumerate(whole) if character == '"']
    adds = not quotes or draw(st.booleans())
    at = draw(st.integers(0, len(whole)) if adds else st.sampled_from(quotes))
    text = f'{whole[:at]}"{whole[at:]}' if adds else whole[:at] + whole[at + 1 :]
    return rows, {number for number in range(len(rows)) if ends[number] <= at <= ends[number + 1]}, text


@settings(max_examples=400, deadline=None)
@given(damaged("a1 \";\n\r'é"))  # without commas: with them, lines of a text may look like rows of their own
def test_one_quote_too_many_or_too_few_costs_no_row_but_the_one_it_is_in(case):
    rows, touched, text = case
    good = [tuple(row) for number, row in enumerate(rows) if number not in touched]

    found = [cells for _, cells in read(text)]

    assert [cells for cells in found if cells in good] == good


@settings(max_examples=400, deadline=None)
@given(damaged("a1 \";\n\r'é"))
def test_one_quote_too_many_or_too_few_makes_no_other_row_of_the_one_it_is_in(case):
    rows, _, text = case

    found = [cells for _, cells in read(text) if isinstance(cells, tuple) and len(cells) == 2]

    assert set(found) <= {tuple(row) for row in rows}
