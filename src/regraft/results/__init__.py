"""A RUN: what it holds, how it is written whole, and how it answers."""
