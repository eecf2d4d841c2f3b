"""Metrics of answers that name a label: by probability, as generated, and of a baseline without a language model."""
