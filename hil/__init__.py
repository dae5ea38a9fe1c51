"""Hardware in the loop: the same tests against a node in QEMU and against a node on a bench, on labgrid."""
