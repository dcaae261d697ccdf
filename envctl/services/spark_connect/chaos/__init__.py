"""How Spark Connect can be hurt: its one token, and from inside its Java."""
