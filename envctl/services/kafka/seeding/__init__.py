"""Filling topics from a dataset: ready-made record batches, written exactly once, and read back."""
