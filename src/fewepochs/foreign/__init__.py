"""What other tools recorded of a training run: a value that says where it came from, and readers of their files."""
