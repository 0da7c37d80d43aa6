"""Reload on save, for any HTTP engine: what changed on disk gets into the running server.

A worker watches the files it has loaded (`watching`, `sources`), decides from their syntax trees
what a save means (`outline`, `reach`, `changes`) and either swaps functions in place (`swapping`)
or asks its master for a new worker through memory both share (`noticeboard`). The master imports
what workers have imported from elsewhere (`preimports`), so that new workers are forked with it.
"""
