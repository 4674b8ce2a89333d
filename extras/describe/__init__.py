"""Describe a data set: `make describe` (docs/your-data.md)."""
