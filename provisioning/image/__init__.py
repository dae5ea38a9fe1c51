"""The recipe of the node's OS image: Debian trixie for arm64, the firmware twice, one data partition. No mounts, no hand."""
