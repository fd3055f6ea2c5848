"""`aswa-analyze --published`: the authors' own figures, with the tests that they allow.

`images` and `graphs` test the figures of results/published; `beside` puts runs of ours at the same
setting next to those of graphs; `page` is all of it in the order of docs/published.md.
"""
