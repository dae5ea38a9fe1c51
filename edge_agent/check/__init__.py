"""`loa-agent check`: what a technician runs at the pole. Nothing of it is imported by the agent's normal start."""
