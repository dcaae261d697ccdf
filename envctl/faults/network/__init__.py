"""Faults of the network, a file each; they act in the network namespace of the service's container."""
