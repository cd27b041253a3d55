"""NumPy arrays in, NumPy arrays out: what touches every sample, compiled, without the GIL."""
