"""The least that Flask can answer a request with: what the API is measured beside."""

from uuid import UUID

from flask import Flask, Response

app = Flask(__name__, static_folder=None)


@app.get("/bare/<uuid:number>")
def bare(number: UUID) -> Response:
    """Some bytes, whatever is asked for."""
    return Response(b"hello", mimetype="application/json")
