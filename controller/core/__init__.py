"""Pure decisions of the controller."""
