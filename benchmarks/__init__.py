"""What the service can do per second, and what it is measured with."""
