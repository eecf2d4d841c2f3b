"""Metrics of single reviews: small pure functions, a file for each subject."""
