"""Clients that generators make of the API's document: they are made anew, compiled, and taken on a tour of the shop."""
