"""Print the task and the label of a data set and test instances, as JSON.

Usage: instances.py data/NAME.csv     in the folder of a project, with PYTHONPATH

The exit code is 78 for an invalid table or description.
"""

import json
import sys
from typing import Any

from utils.dataset.instances import rows_of
from utils.dataset.read import read_dataset
from utils.errors import TrainingError

# One row is a list, and all others are objects.
ROWS = 4


def shortest(value: Any) -> Any:
    """Return a whole number without a fraction, and any other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def main(path: str) -> int:
    """Print the JSON and return the exit code."""
    try:
        table, description = read_dataset(path)
    except TrainingError as error:
        print(f"{error}", file=sys.stderr)
        return error.exit_code

    names = [column.name for column in description.columns]
    # The rows have different labels, if the file is sorted too.
    label = description.label.name
    first = table.drop_duplicates(label).index if description.task == "classification" else []
    chosen = table.loc[[*first, *table.index.difference(first)]][:ROWS]
    rows = [list(map(shortest, row)) for row in rows_of(chosen, description.columns)]
    objects = [
        {name: value for name, value in zip(names, row) if value is not None} for row in rows[1:]
    ]
    instances = [rows[0], *objects]
    print(json.dumps({"task": description.task, "label": label, "instances": instances}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
