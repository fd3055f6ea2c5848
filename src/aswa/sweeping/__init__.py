"""Many runs: planned, frozen, launched until all are done. Imports no torch."""
