"""Touch the world, one outside thing each."""
