"""What nobody may do, and what no request may cost."""
