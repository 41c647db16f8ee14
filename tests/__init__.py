"""The tests, and the fakes and servers they share."""
