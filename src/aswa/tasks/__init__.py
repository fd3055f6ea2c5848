"""Tasks: what a model is trained on, and how its weights are judged."""
