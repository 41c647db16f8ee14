"""What the worker does by itself, and when."""
