"""All that node and controller agree on: messages, envelope, trust, topics, programme."""
