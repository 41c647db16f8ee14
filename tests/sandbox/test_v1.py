"""The first generation of the service."""

from uuid import UUID, uuid4

import pytest
import requests


@pytest.fixture
def client(start):
    return start(generation="v1").sign_in()


def test_auth_wants_no_header_and_gives_a_uuid(client):
    response = client.auth()

    assert response.status_code == 201
    assert str(UUID(response.json()["access_token"])) == response.json()["access_token"]


def test_every_sign_up_is_a_new_account_with_products_of_its_own(client, product_id):
    client.sign_in()

    assert client.offers(product_id).status_code == 404


def test_the_token_is_good_for_ever(client, clock, product_id):
    clock.now += 10 * 365 * 24 * 3600
    client.sandbox.expire_token()

    assert client.offers(product_id).status_code == 200


def test_the_token_outlives_a_restart_that_forgets_the_products(client, product_id):
    client.sandbox.restart(forget=True)

    assert client.offers(product_id).status_code == 404
    assert client.register(product_id).status_code == 201


def test_a_token_can_be_forgotten(client, product_id):
    client.sandbox.forget_token()

    assert client.offers(product_id).status_code == 401


def test_registers_a_product_again_and_again(client, product_id):
    assert client.register(product_id).status_code == 201
    assert list(client.sandbox.registered) == [product_id]


def test_registers_from_a_form_too(client):
    form = {"id": "12", "name": "Lamp", "description": ""}
    url = f"{client.sandbox.url}/api/v1/products/register"

    response = requests.post(url, data=form, headers=client.headers, timeout=5)

    assert response.status_code == 201
    assert client.offers(12).status_code == 200


def test_offers_have_whole_numbers_for_ids(client, product_id):
    offers = client.offers(product_id).json()

    assert offers == client.sandbox.offers_of(product_id)
    assert {type(value) for offer in offers for value in offer.values()} == {int}


@pytest.mark.parametrize("token", ["", "wrong", str(UUID(int=1))])
def test_answers_401_without_a_good_token(client, token):
    client.token = token

    response = client.offers(uuid4())

    assert response.status_code == 401
    assert response.json() == {"code": "UNAUTHORIZED", "msg": "Access token missing or invalid"}


def test_answers_404_to_an_unknown_product(client):
    assert client.offers(uuid4()).json() == {"code": "NOT_FOUND", "msg": "Product does not exist"}


@pytest.mark.parametrize("changes", [{"name": "left out"}, {"description": None}, {"id": True}])
def test_answers_400_to_a_product_that_lacks_something(client, changes):
    response = client.register(**changes)

    assert response.status_code == 400
    assert response.json() == {"code": "BAD_REQUEST", "msg": "id, name and description are required"}


def test_other_paths_and_methods_have_an_error_with_a_code_too(client):
    base = client.sandbox.url

    assert requests.get(f"{base}/nothing", timeout=5).json() == {"code": "NOT_FOUND", "msg": "Not Found"}
    assert requests.get(f"{base}/api/v1/auth", timeout=5).json()["code"] == "METHOD_NOT_ALLOWED"
