"""Columns of texts."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from utils.table.columns import Cells, Column, InvalidValue

# This is the pattern of scikit-learn's CountVectorizer and TfidfVectorizer.
WORD = re.compile(r"(?u)\b\w\w+\b")


class Text(Column):
    """A text, which becomes the TF-IDF weights of the words in `words`.

    The weights are those of scikit-learn's TfidfVectorizer: the count of a word times its entry in
    `idf`, divided by the Euclidean norm of all weights.
    """

    def __init__(self, plain: dict[str, Any], start: int):
        self._places = {word: place for place, word in enumerate(plain["words"])}
        self._idf: list[float] = plain["idf"]
        super().__init__(plain, start, len(self._idf))

    def _cells(self, value: Any) -> Cells:
        if type(value) is not str:
            raise InvalidValue(self.expected())
        words = WORD.findall(value.lower())
        counts = Counter(self._places[word] for word in words if word in self._places)
        weights = {place: count * self._idf[place] for place, count in counts.items()}
        norm = sum(weight * weight for weight in weights.values()) ** 0.5
        return [(place, weight / norm) for place, weight in weights.items()]

    def _description(self) -> str:
        return "a text"
