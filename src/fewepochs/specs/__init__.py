"""The parts of a recipe as frozen, strict values, one file a subject; torch is not imported."""
