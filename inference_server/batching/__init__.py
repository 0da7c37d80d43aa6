"""Several scoring requests in one call of `run()`: imported only for scripts that ask for it."""
