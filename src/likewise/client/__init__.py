"""The client library: each call is described once, and `Client` and `AsyncClient` only send it.

Speaks to Apple's servers and to Likewise's alike, and knows nothing of the server's side: only the words of the domain,
the errors, and Apple's documents.
"""

from likewise.client.answers import LibraryItem, Page, Rating, RatingChange, Written
from likewise.client.asynchronous import AsyncClient
from likewise.client.blocking import Client
from likewise.client.credentials import APPLE, SigningKey
from likewise.client.exchange import Limits, Surroundings

__all__ = [
    "APPLE",
    "AsyncClient",
    "Client",
    "LibraryItem",
    "Limits",
    "Page",
    "Rating",
    "RatingChange",
    "SigningKey",
    "Surroundings",
    "Written",
]
