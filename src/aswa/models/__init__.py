"""Model families: `image/` and `kge/`."""
