"""The judge: how well an encoder's vectors rank clips as the ground truth does, on weather that it never saw."""
