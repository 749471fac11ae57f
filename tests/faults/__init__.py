"""Everything that may happen to a run; the row of the table that each test belongs to is in docs/guarantees.md."""
