"""The types of everything that a user may write: site settings, studies and recipes.

These types are the only definition. `schemas/*.json` are generated from them, defaults live here
and nowhere else, and unknown keys are refused at every level.
"""
