"""One run: a resumable computation, the session around it, and methods that watch a trajectory."""
