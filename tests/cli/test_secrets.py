"""flask secrets: encrypts what an older version or a former key has left behind."""

from aggregator.models import Access, Webhook
from tests.apps import SECRET_KEY
from tests.builders import SECRET, edit, make_user, make_webhook, stored


def test_rotate_encrypts_everything_with_the_current_key_and_says_how_much(app, make_app):
    make_webhook(app, make_user(app), old_secret=SECRET)
    edit(app, Access, token="t0k3n")
    new = make_app(secret_key="the new key", secret_key_fallbacks=(SECRET_KEY,))

    results = [new.test_cli_runner().invoke(args=["secrets", "rotate"]) for _ in range(2)]

    assert [(result.exit_code, result.stdout) for result in results] == [
        (0, "Secrets encrypted with the current key: 3\n"),
        (0, "Secrets encrypted with the current key: 0\n"),
    ]
    assert results[0].stderr.startswith("Database: ")
    box = make_app(secret_key="the new key").extensions["webhooks"].box
    assert {box.open(text) for row in stored(app, Webhook) for text in (row.secret, row.old_secret)} == {SECRET}


def test_rotate_says_what_it_cannot_read_and_leaves_it_alone(app, make_app):
    make_webhook(app, make_user(app))
    make_webhook(app, make_user(app), secret=SECRET)
    before = {row.secret for row in stored(app, Webhook)}

    result = make_app(secret_key="the new key").test_cli_runner().invoke(args=["secrets", "rotate"])

    assert (result.exit_code, result.stdout) == (1, "Secrets encrypted with the current key: 1\n")
    assert "Secrets that cannot be read: 1." in result.stderr
    assert len(before & {row.secret for row in stored(app, Webhook)}) == 1
