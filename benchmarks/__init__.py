"""Measures this server beside others on one machine: `python -m benchmarks --help`.

A run is made in rounds. Each round takes one sample of every figure from every server, in shuffled
order, from a fresh process; the report shows medians and ranges over the rounds.
"""
