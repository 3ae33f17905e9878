"""Likes on the move: out of other services' files and ours into a store, and out of a store into such files."""
