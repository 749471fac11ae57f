"""Update rules, one file a family, and the builder from a spec."""
