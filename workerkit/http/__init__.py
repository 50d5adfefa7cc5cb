"""HTTP/1.1 without I/O: bytes in, facts out; facts in, bytes out."""
