"""Run records as tables: reading, names, settings, the long table; `legacy` reads older records."""
