"""Raw files: decoding, overlay, titles, quality, reduction, inventory, ingest."""
