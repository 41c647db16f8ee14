"""Answers: all of their members are promised."""

from marshmallow import fields

from aggregator.schemas.answers import AnswerSchema


class Lamp(AnswerSchema):
    name = fields.String()
    price = fields.Integer(allow_none=True)


def test_every_member_is_required_and_may_be_null_only_where_it_says_so():
    assert {name: (field.required, field.allow_none) for name, field in Lamp().fields.items()} == {
        "name": (True, False),
        "price": (True, True),
    }


def test_it_is_written_as_ever():
    assert Lamp().dump({"name": "Lamp", "price": None}) == {"name": "Lamp", "price": None}
