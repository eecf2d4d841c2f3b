"""From models to numbers on held-out prompts."""
