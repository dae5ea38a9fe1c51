"""The light controller that commands the nodes of a province."""
