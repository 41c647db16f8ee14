"""How faults are written and whom they hit."""

from itertools import islice
from uuid import UUID

import pytest

from aggregator.sandbox import KINDS, Sandbox
from aggregator.sandbox.faults import Plan, read_fault
from aggregator.sandbox.service import Route

ROUTES = [Route("offers", str(UUID(int=number))) for number in range(1000)]


@pytest.mark.parametrize(
    ("spec", "value", "rate", "endpoints"),
    [
        ("500", "", 1.0, ("register", "offers")),
        ("500:0.1", "", 0.1, ("register", "offers")),
        ("500@auth", "", 1.0, ("auth",)),
        ("500:0.25@register", "", 0.25, ("register",)),
        ("429", "5", 1.0, ("register", "offers")),
        ("429=120:0.5", "120", 0.5, ("register", "offers")),
        ("429=abc@offers", "abc", 1.0, ("offers",)),
        ("429=-1", "-1", 1.0, ("register", "offers")),
        ("429=Wed, 21 Oct 2037 07:28:00 GMT", "Wed, 21 Oct 2037 07:28:00 GMT", 1.0, ("register", "offers")),
        ("timeout=0.5", "0.5", 1.0, ("register", "offers")),
        ("redirect=http://127.0.0.1:99/x:0.5", "http://127.0.0.1:99/x", 0.5, ("register", "offers")),
        ("duplicates", "", 1.0, ("offers",)),
        ("empty", "", 1.0, ("offers",)),
        ("informational", "100,102,103", 1.0, ("register", "offers")),
        ("informational=103,103@auth", "103,103", 1.0, ("auth",)),
        ("empty@register", "", 1.0, ("register",)),
    ],
)
def test_a_fault_is_read_as_it_was_meant(spec, value, rate, endpoints):
    fault = read_fault(spec)

    assert (fault.spec, fault.value, fault.rate, fault.endpoints) == (spec, value, rate, endpoints)


def test_every_kind_can_be_written():
    assert [read_fault(kind).kind for kind in KINDS] == list(KINDS)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("boom", "There is no fault 'boom': the known kinds are 400, 401"),
        ("500:high", "Cannot read the fault '500:high'"),
        ("", "Cannot read the fault ''"),
        ("500:1.5", "The rate of the fault '500:1.5' must be a number from 0 to 1."),
        ("500:0.1.2", "The rate of the fault '500:0.1.2' must be a number from 0 to 1."),
        ("500@nowhere", "The endpoint of the fault '500@nowhere' must be one of auth, register, offers."),
        ("flood@auth", "The endpoint of the fault 'flood@auth' must be one of offers."),
        ("500=7", "The fault '500=7' takes no value after '='."),
        ("timeout=soon", "The value of the fault 'timeout=soon' must be a number of seconds."),
        ("informational=200", "The value of the fault 'informational=200' must be statuses from 100 to 199"),
        ("429=ž", "cannot go into an HTTP header"),
    ],
)
def test_a_bad_fault_is_a_value_error_that_says_why(spec, sentence):
    with pytest.raises(ValueError) as raised:
        read_fault(spec)

    assert sentence in str(raised.value)


def test_an_unknown_kind_is_told_all_the_known_ones():
    with pytest.raises(ValueError) as raised:
        Sandbox(faults=["boom"])

    assert all(kind in str(raised.value) for kind in KINDS)


def test_the_rate_is_a_share_of_the_products_always_the_same_ones():
    hit = [route for route in ROUTES if Plan(0, ["500:0.2"]).fault_for(route)]

    assert 150 < len(hit) < 250
    assert hit == [route for route in ROUTES if Plan(0, ["500:0.2"]).fault_for(route)]
    assert hit != [route for route in ROUTES if Plan(1, ["500:0.2"]).fault_for(route)]
    assert hit != [route for route in ROUTES if Plan(0, ["503:0.2"]).fault_for(route)]


def test_a_greater_share_hits_the_same_products_and_more():
    few, many = Plan(0, ["500:0.2"]), Plan(0, ["500:0.4"])

    assert all(many.fault_for(route) for route in ROUTES if few.fault_for(route))


def test_a_product_is_hit_on_register_as_on_offers():
    plan = Plan(0, ["500:0.5"])

    for route in islice(ROUTES, 50):
        assert plan.fault_for(route) == plan.fault_for(Route("register", route.product_id))


def test_for_auth_the_rate_is_a_share_of_the_calls():
    plan = Plan(0, ["500:0.2@auth"])

    assert 150 < sum(plan.fault_for(Route("auth")) is not None for _ in range(1000)) < 250


def test_the_first_fault_that_hits_counts():
    plan = Plan(0, ["500:0.5", "503"])

    assert {plan.fault_for(route).kind for route in ROUTES} == {"500", "503"}


def test_a_rate_of_zero_hits_nobody_and_what_is_no_call_is_never_hit():
    assert Plan(0, ["500:0"]).fault_for(ROUTES[0]) is None
    assert Plan(0, ["500"]).fault_for(Route(allowed="GET")) is None
