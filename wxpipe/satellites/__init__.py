"""The satellites as data (TOML): bands, cadence, schedule, sizes, name grammars, overlay; slot arithmetic."""
