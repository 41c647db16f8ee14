"""The JSON form of everything that goes in and out: form only, no database."""
