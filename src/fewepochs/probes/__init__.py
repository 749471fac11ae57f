"""Short measurements that reuse the device program but are not runs: they write no run folder and leave no trace."""
