"""Likes on the move: out of other services' files and ours into a store, and out of a store into such files.

And whole stores: backups as lines, and copies from one database to another. This wing knows the port and the formats,
and opens no database.
"""
