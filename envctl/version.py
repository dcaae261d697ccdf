"""The version, alone in a module so that the build backend and `envctl --help` read it without importing more."""

__version__ = "0.1.0"
