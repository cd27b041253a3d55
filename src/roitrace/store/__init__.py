"""The only place that touches zarr: how stores are laid out, written and read.

Importing this package turns Blosc's own threads off: threaded Blosc writes different bytes each time, and the
tasks that call it are parallel already.
"""

from numcodecs import blosc

blosc.use_threads = False
