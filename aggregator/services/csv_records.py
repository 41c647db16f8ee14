"""CSV, strictly: a quote that is out of place costs the rows that it touches, and draws no other rows into them.

A record ends with the first line at which its quotes are even. Where that makes no sense, the first line of it is
refused and reading goes on with the next line, so an unclosed quote swallows nothing.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MAX_RECORD = 100_000  # characters
AHEAD = 1_000  # lines that are looked at to see whether a record goes on in them
UNCLOSED = "A quote is opened and not closed."
MISPLACED = "A quote is not in its place: a cell with quotes in it stands in quotes, and those in it are doubled."
_quoted = re.compile(r'"((?:[^"]++|"")*+)"').match


class _Misplaced(ValueError):
    """A quote stands where there can be none."""


class _Unclosed(ValueError):
    """The text ends inside of quotes."""


@dataclass(frozen=True)
class Record:
    """A line of CSV, or several where line ends stand in quotes; or why it cannot be read."""

    line: int
    cells: tuple[str, ...] = ()
    problem: str = ""
    lines: int = 1

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it, as in the rows that a spreadsheet leaves behind."""
        return not self.problem and not any(self.cells)


def cells_of(text: str, delimiter: str = ",") -> tuple[str, ...]:
    """The cells of one whole record. ValueError where its quotes are wrong."""
    end = len(text) - (2 if text.endswith("\r\n") else 1 if text.endswith(("\n", "\r")) else 0)
    if '"' not in text:
        return tuple(text[:end].split(delimiter))
    cells, at = [], 0
    while True:
        if text.startswith('"', at):
            found = _quoted(text, at)
            if found is None:
                raise _Unclosed(UNCLOSED)
            cells.append(found[1].replace('""', '"'))
            at = found.end()
        else:
            stop = text.find(delimiter, at, end)
            stop = end if stop < 0 else stop
            cells.append(text[at:stop])
            if '"' in cells[-1]:
                raise _Misplaced(MISPLACED)
            at = stop
        if at == end:
            return tuple(cells)
        if text[at] != delimiter:
            raise _Misplaced(MISPLACED)
        at += 1


class Records:
    """The records of a file, one after the other; of those that fits() refuses, or that have a problem, all are shown.

    What fits is held against what follows: where that looks like the rest of it, torn off by a quote too few or too
    many, it is refused as well.
    """

    def __init__(
        self, lines: Iterable[str], delimiter: str, fits: Callable[[tuple[str, ...]], bool], first: int = 1
    ) -> None:
        self._source, self._delimiter, self._fits = iter(lines), delimiter, fits
        self._lines: list[str] = []  # what has been read and is not done yet, from the one of number _begin on
        self._begin = self._here = first
        self._known: dict[int, Record | None] = {}

    def __iter__(self) -> Iterator[Record]:
        while (record := self._record(self._here)) is not None:
            done = record.lines
            if record.problem:
                done = 1
            elif record.lines > 1 and self._drew_in_others(record):
                record, done = Record(record.line, problem=UNCLOSED), 1
            elif self._is_whole(record) and (rest := self._rest_of(record)):
                record = Record(record.line, problem=f"It may go on in line {rest}, where a quote is not in its place.")
            yield record
            self._forget(done)

    def _line(self, number: int) -> str | None:
        while number - self._begin >= len(self._lines):
            line = next(self._source, None)
            if line is None:
                return None
            self._lines.append(line)
        return self._lines[number - self._begin]

    def _forget(self, count: int) -> None:
        for number in range(self._here, self._here + count):
            self._known.pop(number, None)
        self._here += count
        done = self._here - self._begin
        if done > 50 and 2 * done > len(self._lines):
            del self._lines[:done]
            self._begin = self._here

    def _record(self, number: int) -> Record | None:
        """The record that begins with a line, if there is one."""
        if number not in self._known:
            self._known[number] = self._read(number)
        return self._known[number]

    def _read(self, number: int) -> Record | None:
        line = self._line(number)
        if line is None:
            return None
        lines, length, quotes = [line], len(line), line.count('"')
        while length <= MAX_RECORD:
            try:
                if len(lines) == 1 or quotes % 2 == 0:
                    return Record(number, cells_of("".join(lines), self._delimiter), lines=len(lines))
            except _Misplaced as error:
                return Record(number, problem=str(error))
            except _Unclosed:
                pass  # it goes on in the next line
            line = self._line(number + len(lines))
            if line is None:
                return Record(number, problem=UNCLOSED)
            lines.append(line)
            length, quotes = length + len(line), quotes + line.count('"')
        return Record(number, problem=UNCLOSED if len(lines) > 1 else f"Longer than {MAX_RECORD} characters.")

    def _is_whole(self, record: Record) -> bool:
        return not record.problem and self._fits(record.cells)

    def _trouble_after(self, record: Record) -> int | None:
        """The line of the next quote that is out of place, unless something whole comes before it."""
        number = record.line + record.lines
        last = number + AHEAD
        while number < last and (following := self._record(number)) is not None:
            if following.problem:
                return number
            if not following.is_empty and self._fits(following.cells):
                return None
            number += following.lines
        return None

    def _drew_in_others(self, record: Record) -> bool:
        """Whether several lines make more sense without the first ones: each is whole, and so is what follows.

        Then it is the first one that has a quote too many, or too few, and the others have nothing to do with it.
        """
        trouble = self._trouble_after(record) if self._fits(record.cells) else record.line + record.lines - 1
        if trouble is None:
            return False
        number, begun = record.line + 1, False
        while number <= trouble:
            following = self._record(number)
            if following is None:
                return False
            is_whole = self._is_whole(following)
            if begun and not (is_whole or following.is_empty):
                return False
            begun = begun or is_whole  # before that, it may be more lines of the first one
            if (self._line(number) or "").startswith('"') and number + following.lines > trouble:
                return False  # the quote is the one that closes the record, and not one that opens another
            number += following.lines
        return begun

    def _rest_of(self, record: Record) -> int | None:
        """The line with a closing quote that belongs to a record which seemed to be whole, if there is one.

        Between the two there are only lines with fewer cells than there are columns: others are rows of their own.
        """
        begin = record.line + record.lines
        for number in range(begin, begin + AHEAD):
            line, following = self._line(number), self._record(number)
            if line is None or following is None or self._is_whole(following) or len(line) > MAX_RECORD:
                return None
            before, quote, after = line.replace('""', "").partition('"')
            # Where the quote is left out, the others in the line stand as they should.
            cells = next(csv.reader([before + after], delimiter=self._delimiter), [])
            if len(cells) >= len(record.cells):
                return None
            if quote:
                closes = not before.endswith(self._delimiter) and after[:1] in ("", self._delimiter, "\r", "\n")
                return number if closes else None
        return None
