"""How what ships was made: `python -m recipes.tables`, `recipes.models`, `recipes.palettes` and so on, a command each.

What may enter: commands that write into `data/`, `docs/` or the README. What may not: measurements of speed, which are
in `benchmarks`.
"""
