"""A product catalogue whose prices keep themselves up to date."""
