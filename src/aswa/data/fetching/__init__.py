"""Datasets brought to this machine and checked."""
