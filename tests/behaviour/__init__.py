"""What the server promises beyond the contract: processes, signals, overload and odd clients."""
