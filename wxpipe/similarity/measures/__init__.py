"""Measures of how alike two frames are, by name: `registry` lists them, the other files hold what they compute."""

from wxpipe.similarity.measures.registry import GROUND_TRUTH, Measure, get_measure, measure_names

__all__ = ["GROUND_TRUTH", "Measure", "get_measure", "measure_names"]
