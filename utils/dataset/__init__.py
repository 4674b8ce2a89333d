"""Describe a data set and read it (docs/your-data.md)."""
