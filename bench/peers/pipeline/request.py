"""The request of our own clients, which is the document's."""

from bench.peers.document.request import answers, body

__all__ = ["answers", "body"]
