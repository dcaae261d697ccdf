"""Seeding an environment: what is asked for, the plan, the run over all services, a look whether it still holds."""
