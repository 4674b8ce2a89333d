"""The Python that the builder images bring: environment reader, train runner, predict daemon."""
