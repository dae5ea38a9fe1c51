"""`make demo`: one commune's day and an emergency, with every part real, judged from what was recorded."""
