"""How fast roitrace is, beside bare decode and other ways of doing the same, on frozen workloads.

``python -m benchmarks.run`` measures every row and writes a table; ``python -m benchmarks.profile_slab`` shows where the time of one task
goes; `benchmarks.tracked` has classes for asv.
"""
