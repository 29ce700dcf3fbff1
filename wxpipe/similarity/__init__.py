"""Ground truth: grid CDFs, the similarity that they define, and the clips that are compared by it."""
