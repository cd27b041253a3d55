"""The whole job from a configuration: one file per step, and `run` that calls them in order."""
