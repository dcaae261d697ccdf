"""One module for each family of verbs; loaded by name, see `envctl.cli.app`."""
