"""`azmlinfsrv tune`: finds the settings under which a scoring script answers most requests."""
