"""What takes several transactions with calls to the outside between them. Each opens them in sight."""
