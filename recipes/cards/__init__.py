"""What says how good the shipped things are: cards, tables of the README and of docs/results.md, and their pictures."""
