"""The words of the command line to actions."""
