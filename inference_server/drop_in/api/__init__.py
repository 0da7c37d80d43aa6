"""What scoring scripts import from the reference."""
