"""Signing in at the second generation: one short-lived token at a time."""

import base64
import json

MISSING = {"msg": "field required", "type": "value_error.missing"}


def claims_of(token: str) -> dict[str, object]:
    middle = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))


class TestAuth:
    def test_gives_a_token_that_expires_when_its_claim_says(self, start, clock):
        client = start(token_ttl=300)

        response = client.auth(Bearer="sandbox-refresh-token")

        assert response.status_code == 201
        assert list(response.json()) == ["access_token"]
        assert claims_of(response.json()["access_token"])["expires"] == 1_700_000_300
        assert "exp" not in claims_of(response.json()["access_token"])

    def test_signs_the_token_with_hs256(self, client):
        header = client.token.split(".")[0]

        assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "HS256", "typ": "JWT"}
        assert client.token.count(".") == 2

    def test_answers_422_without_the_header(self, client):
        response = client.auth()

        assert response.status_code == 422
        assert response.json() == {"detail": [{"loc": ["header", "Bearer"], **MISSING}]}

    def test_does_not_take_authorization_for_the_header(self, client):
        assert client.auth(Authorization=f"Bearer {client.sandbox.refresh_token}").status_code == 422

    def test_answers_401_to_a_wrong_refresh_token(self, client):
        response = client.auth(Bearer="wrong")

        assert response.status_code == 401
        assert response.json() == {"detail": "Bad authentication"}

    def test_answers_400_while_the_last_token_is_valid(self, client, clock):
        clock.now += 299

        response = client.auth(Bearer=client.sandbox.refresh_token)

        assert response.status_code == 400
        assert response.json() == {"detail": "Cannot generate access token because another is valid"}

    def test_gives_another_token_when_the_last_one_has_expired(self, client, clock):
        clock.now += 300

        response = client.auth(Bearer=client.sandbox.refresh_token)

        assert response.status_code == 201
        assert response.json()["access_token"] != client.token

    def test_keeps_a_life_of_part_of_a_second_exactly(self, start, clock):
        client = start(token_ttl=0.5).sign_in()
        clock.now += 0.5

        assert claims_of(client.token)["expires"] == 1_700_000_000.5
        assert client.auth(Bearer=client.sandbox.refresh_token).status_code == 201

    def test_takes_the_refresh_token_it_was_started_with(self, start):
        assert start(refresh_token="mine").auth(Bearer="mine").status_code == 201
