"""Pure functions from a response and what is known to a reward."""
