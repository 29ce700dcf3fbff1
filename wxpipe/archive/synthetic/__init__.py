"""A synthetic archive: raw files of weather that never was, and the truth about it. `archive` is the way in."""
