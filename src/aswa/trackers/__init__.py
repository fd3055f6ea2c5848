"""Mirrors of a run: Weights & Biases, TensorBoard, a CSV file. The results folder is the truth.

A tracker is one class here, one YAML in conf/tracker and one line in `aswa.registry.TRACKERS`, or
an entry point of the group `aswa.trackers`.
"""
