"""Bring the rows of a request into the order of a model's columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any


class InvalidInstances(ValueError):
    """Instances that are not valid for the model.

    `path` is the place of the invalid value, for example `instances[2].age`.
    """

    status = 422
    code = "invalid_instances"

    def __init__(self, message: str, path: str):
        super().__init__(message)
        self.path = path


class RowOrder:
    """The columns of a model, in the order of a row that is a list.

    Columns in `optional` may be missing values, so a row that is an object may lack them. Names in
    `ignored` are columns of the data set that the model does not use. A row may contain them.
    """

    def __init__(self, names: list[str], optional: Collection[str], ignored: Collection[str]):
        self.names = names
        self._optional = frozenset(optional)
        self._allowed = frozenset((*names, *ignored))

    def arrange(self, instances: Any) -> list[Sequence[Any]]:
        """Return the rows of `instances`, each as a sequence in column order.

        `instances` is a list of rows. A row is a list in column order, or a dict by column name.
        One flat row is a batch of one row. Raises InvalidInstances, which names the row.
        """
        if not isinstance(instances, list):
            raise InvalidInstances(
                f"expected a list of rows, found {format_value(instances)}", "instances"
            )
        if instances and not isinstance(instances[0], (list, dict)):
            instances = [instances]
        if set(map(type, instances)) == {list} and set(map(len, instances)) == {len(self.names)}:
            return instances
        return [self._in_order(row, i) for i, row in enumerate(instances)]

    def _in_order(self, row: Any, i: int) -> Sequence[Any]:
        """Return the values of row number `i` in column order."""
        if type(row) is list:
            if len(row) == len(self.names):
                return row
            raise InvalidInstances(
                f"row {i}: expected {len(self.names)} values ({self._known_names()}), "
                f"found {len(row)}",
                f"instances[{i}]",
            )
        if type(row) is not dict:
            raise InvalidInstances(
                f"row {i}: expected a list or an object, found {format_value(row)}",
                f"instances[{i}]",
            )
        if len(row) == len(self.names):
            try:
                return [row[name] for name in self.names]
            except KeyError:
                pass
        return self._complete(row, i)

    def _complete(self, row: dict[str, Any], i: int) -> Sequence[Any]:
        """Return the values of an object that has other names than the columns.

        An absent value is None, which is a missing value. Raises InvalidInstances if a value is
        required, and for an unknown name.
        """
        for name in self.names:
            if name not in row and name not in self._optional:
                raise self._wrong_name(i, name, "is missing")
        for name in row:
            if name not in self._allowed:
                problem = f"is not a column of this model ({self._known_names()})"
                raise self._wrong_name(i, truncate(name), problem)
        return list(map(row.get, self.names))

    def _wrong_name(self, i: int, name: str, problem: str) -> InvalidInstances:
        """Return the error for a name in row number `i`."""
        return InvalidInstances(f"row {i}: column {name!r} {problem}", f"instances[{i}].{name}")

    def _known_names(self) -> str:
        """Return the names of the columns, at most 20 of them."""
        names = ", ".join(self.names[:20])
        more = len(self.names) - 20
        return f"{names} and {more} more" if more > 0 else names


def format_value(value: Any) -> str:
    """Return a value in the words of JSON, truncated."""
    names = {
        dict: "an object",
        list: "a list",
        type(None): "null",
        bool: "true" if value is True else "false",
    }
    # Python raises an error if a very long integer is converted to text.
    if type(value) is int and abs(value) >= 2**64:
        return "an integer beyond 64 bits"
    return truncate(names.get(type(value)) or repr(value))


def truncate(text: str) -> str:
    """Return `text`, shortened to at most 60 characters."""
    return text if len(text) <= 60 else f"{text[:57]}..."
