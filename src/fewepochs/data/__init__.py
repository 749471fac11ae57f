"""Images: where they come from, how they reach the device, how they are augmented there."""
