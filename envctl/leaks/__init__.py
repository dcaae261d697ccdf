"""What must not remain: one module for each place to look."""
