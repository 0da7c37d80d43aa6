"""What a scoring script and its callers may rely on, held against a running server."""
