"""The library behind Winnow's scripts. Its rooms and laws are described in docs/architecture.md."""
