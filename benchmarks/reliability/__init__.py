"""firstlight attacked on purpose: what was tried, and what survived. `python -m benchmarks.reliability`.

A program (`programs/`) is one way to attack. It is seeded and bounded in time, touches only a folder of its own and
this machine, and ends whatever it starts. Its trials say what came of each; a fault found later gets its input into
`tests/corpus/`.
"""
