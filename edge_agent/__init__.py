"""The node's agent: what runs in every loudspeaker cluster."""
