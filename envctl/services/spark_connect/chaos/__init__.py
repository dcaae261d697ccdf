"""How Spark Connect can be hurt: its one token."""
