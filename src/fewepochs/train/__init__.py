"""The story of a run: loop, step, checkpoint, meters."""
