"""What a kind of problem is, declared in one file a kind. Imports no torch."""
