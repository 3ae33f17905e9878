"""Likewise keeps people's likes and dislikes of music and speaks the Apple Music API while doing so.

    from likewise import Client, SigningKey, Value

What is named here is loaded when it is first used, so that `import likewise` costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likewise.client import (
        AsyncClient,
        Client,
        LibraryItem,
        Limits,
        Page,
        Rating,
        RatingChange,
        SigningKey,
        Written,
    )
    from likewise.domain import Item, Kind, Value

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "Item",
    "Kind",
    "LibraryItem",
    "Limits",
    "Page",
    "Rating",
    "RatingChange",
    "SigningKey",
    "Value",
    "Written",
    "__version__",
]

_DOMAIN = ("Item", "Kind", "Value")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'likewise' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - costs those their start who need no name

    return getattr(import_module("likewise.domain" if name in _DOMAIN else "likewise.client"), name)
