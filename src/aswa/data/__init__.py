"""Datasets: where they come from and how they are indexed."""
