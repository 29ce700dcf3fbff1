"""The tuple of all stages, the plan (what is stale), the runner (Dask), reconciliation, the digest of a root."""
