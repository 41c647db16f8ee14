"""The REST API: blueprints that are decorators and one call."""
