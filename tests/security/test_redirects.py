"""Nobody is led to where a Host header says."""

import re

import pytest

EVIL = "evil.example"
FORWARDED = {"Host": EVIL, "X-Forwarded-Host": EVIL, "X-Forwarded-Prefix": f"//{EVIL}", "Forwarded": f"host={EVIL}"}


def paths_of(app) -> list[str]:
    """The paths of all routes, with something in the place of what varies."""
    some = {"uuid": "e262b9d9-687b-44d1-9202-6b0e85f84b4e"}
    rules = [rule.rule for rule in app.url_map.iter_rules()]
    return [re.sub(r"<(?:(\w+):)?\w+>", lambda varies: some.get(varies[1] or "", "x"), rule) for rule in rules]


@pytest.mark.parametrize("proxies", [0, 1])
def test_no_answer_of_any_route_however_it_is_written_names_the_host(make_app, proxies):
    app = make_app(trusted_proxies=proxies)
    client = app.test_client()

    for path in paths_of(app):
        for variant in (
            path,
            f"/{path}",
            path.replace("/", "//"),
            f"{path}/",
            f"{path}//",
            path + "/./",
            f"//{EVIL}{path}",
        ):
            for method in ("GET", "POST"):
                answer = client.open(f"http://{EVIL}{variant}", method=method, headers=FORWARDED)
                told = " ".join(f"{name}: {value}" for name, value in answer.headers.items())
                assert EVIL not in told, (method, variant, told)
                assert EVIL not in answer.text or EVIL in variant, (method, variant)
                assert answer.headers.get("Location", "/").startswith("/"), (method, variant)
                assert not answer.headers.get("Location", "/").startswith("//"), (method, variant)


def test_a_path_with_a_slash_too_many_is_no_other_path(visitor):
    assert visitor.get("/api//v1/products").status_code == 404
    assert visitor.get("/api/v1/products/").status_code == 200
