"""Slow, obvious twins of what fewepochs computes, and the real Keras."""
