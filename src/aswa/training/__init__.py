"""One run: a trajectory of a model, and the averagers that watch it."""
