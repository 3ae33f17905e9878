"""Likewise keeps people's likes and dislikes of music and speaks the Apple Music API while doing so."""

__version__ = "0.1.0"
