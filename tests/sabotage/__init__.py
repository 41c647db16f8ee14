"""Sabotage: one line of the product is spoiled at a time, and the nearest tests have to notice. `make sabotage`."""
