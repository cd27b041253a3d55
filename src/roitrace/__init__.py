"""roitrace: one labelled trace per cell from calcium-imaging recordings of any size.

The names below are imported when they are first used (Scientific Python SPEC 1), so that ``import roitrace`` is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
