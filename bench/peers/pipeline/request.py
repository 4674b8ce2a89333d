"""The request of our clients, which is the same as the document's."""

from bench.peers.document.request import answers, body

__all__ = ["answers", "body"]
