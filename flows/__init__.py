"""Prefect flows: one thin flow a verb; they call `wxpipe.pipeline` and nothing else. Importing one has no effects."""
