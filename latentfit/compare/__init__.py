"""Comparisons for people: figures (arrays in, pictures out), widgets, and reports of one HTML file.

What may enter: what shows maps beside the true VAE. What may not: how they are computed, scored or saved.
"""
