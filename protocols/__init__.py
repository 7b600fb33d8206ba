"""Wire formats: bytes or values in, values or bytes out."""
