"""A product catalogue whose prices keep themselves up to date."""

__version__ = "0.1.0"
