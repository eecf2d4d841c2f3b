"""Responses of a model to prompts, by whichever engine: the same requests, the same seeds."""
