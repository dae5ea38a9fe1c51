"""Decides and touches nothing: state, event and time in, state and commands out."""
