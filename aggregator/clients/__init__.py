"""The world outside. Nothing here knows of Flask or the models."""
