"""Labelled sparse rows: files, builders of data sets, and generated data. Imports no torch."""
