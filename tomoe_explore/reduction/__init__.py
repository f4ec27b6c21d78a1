"""The reduction: one file a step, arrays in and values out; ``recipe.py`` is their order. No disk, no archive."""
