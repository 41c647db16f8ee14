"""The web server's side of gunicorn: a worker that no slow client can keep busy."""
