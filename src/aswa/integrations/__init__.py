"""Averaging inside other packages' training loops: one module a package, imported by its name."""
