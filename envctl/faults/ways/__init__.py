"""Faults that only a service itself makes possible, a file each; how is in the service (`capabilities.Way`)."""
