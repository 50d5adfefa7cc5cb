"""What a server says of itself: the error log and the access log."""
