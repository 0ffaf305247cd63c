"""The `rxalerts` command."""
