"""The root and what lies in it: objects, leases, ledger, quarantine, frames (Zarr); the types of a stage."""
