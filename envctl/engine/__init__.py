"""Docker and compose: the only room that knows either."""
