"""The pictures of made-up products."""

from random import Random

import pytest

from aggregator.clients import pictures
from aggregator.clients.paintings import SHAPES, painted
from aggregator.services import samples
from tests.pictures import read


@pytest.mark.parametrize("kind", SHAPES)
def test_are_such_as_can_be_uploaded_and_as_large_as_they_are_shown(kind):
    picture = painted(kind, Random(1))

    pictures.check(picture)
    assert (read(picture).format, read(picture).size) == ("JPEG", (500, 500))
    assert len(picture) < 40_000


def test_are_the_same_for_the_same_randomness_and_others_for_another():
    assert painted("City bicycle", Random(1)) == painted("City bicycle", Random(1))
    assert painted("City bicycle", Random(1)) != painted("City bicycle", Random(2))


def test_differ_from_kind_to_kind():
    assert len({painted(kind, Random(1)) for kind in SHAPES}) == len(SHAPES)


def test_there_is_one_for_each_kind_of_sample():
    assert [samples.kind(number) for number in range(len(samples.KINDS))] == list(SHAPES)


def test_show_a_white_shape_on_two_colours():
    picture = read(painted("4K monitor", Random(1)))

    frame, first, last = (picture.getpixel(at) for at in ((250, 118), (5, 5), (495, 495)))
    assert min(frame) > 245
    assert max(abs(a - b) for a, b in zip(first, last, strict=True)) > 60
