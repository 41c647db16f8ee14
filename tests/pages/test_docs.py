"""/docs and /redoc: the document to read and to try, without a network."""

import re

import pytest

ASSETS = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "redoc.standalone.js": "text/javascript; charset=utf-8",
}


@pytest.fixture
def backend() -> str:
    return "sqlite"  # no page asks the database


def test_the_front_door_leads_to_the_documentation(client):
    response = client.get("/")

    assert (response.status_code, response.headers["Location"]) == (302, "/docs")


@pytest.mark.parametrize(("page", "mark"), [("/docs", "swagger-ui"), ("/redoc", "redoc")])
class TestPages:
    def test_is_a_page_about_our_document(self, client, page, mark):
        response = client.get(page)

        assert response.content_type == "text/html; charset=utf-8"
        assert mark in response.text
        assert "/openapi.json" in response.text

    def test_fetches_nothing_from_elsewhere(self, client, page, mark):
        html = client.get(page).text

        assert re.findall(r"https?://[^\s\"']+", html) == []
        assert re.findall(r"[\"']//", html) == []

    def test_all_that_it_fetches_is_served(self, client, page, mark):
        addresses = re.findall(r"(?:src|href|spec-url)=\"(/[^\"]+)\"", client.get(page).text)

        assert len(addresses) >= 2
        assert [client.get(address).status_code for address in addresses] == [200] * len(addresses)

    def test_its_policy_lets_only_its_own_scripts_run(self, client, page, mark):
        response = client.get(page)
        policy = response.headers["Content-Security-Policy"]
        (nonce,) = re.findall(r"'nonce-([^']+)'", policy)

        assert set(re.findall(r"nonce=\"([^\"]+)\"", response.text)) <= {nonce}
        assert "'unsafe-eval'" not in policy
        assert "script-src 'self' 'nonce-" in policy
        assert nonce not in client.get(page).text


@pytest.mark.parametrize("name", ASSETS)
class TestAssets:
    def test_are_served_as_what_they_are_and_may_be_kept(self, client, name):
        response = client.get(f"/docs/assets/{name}")

        assert response.content_type == ASSETS[name]
        assert len(response.data) > 10_000
        assert response.headers["Cache-Control"] == "max-age=86400"

    def test_who_has_it_already_gets_a_304(self, client, name):
        tag = client.get(f"/docs/assets/{name}").headers["ETag"]

        assert client.get(f"/docs/assets/{name}", headers={"If-None-Match": tag}).status_code == 304

    def test_load_no_logo_from_their_maker(self, client, name):
        assert b"cdn.redoc.ly" not in client.get(f"/docs/assets/{name}").data


@pytest.mark.parametrize("name", ["other.js", "..%2f..%2fconfig.py", "swagger-ui.css.map"])
def test_there_are_no_other_assets(client, name):
    assert client.get(f"/docs/assets/{name}").status_code == 404
