"""The former name of support.docker, for test files that are not converted yet."""

from support.docker import exported, files_of, inspect, tags, tree_of

__all__ = ["exported", "files_of", "inspect", "tags", "tree_of"]
