"""What lazy results are computed from and how, without where it lies or how it runs: so that a resumed job is known to be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roitrace.engine.slab_layer import SlabLayer
from roitrace.formats.identity import combine

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["computation_of", "sources_in"]


def sources_in(array: da.Array) -> list[str]:
    """Return the identity of the content of each recording that a lazy array reads directly, sorted."""
    layers = _mappings(array)
    slabs = [layer for layer in layers.values() if isinstance(layer, SlabLayer)]
    keys = [layer.shared["source"] for layer in slabs]
    return sorted({layers[key][key].value.identity() for key in keys})


def computation_of(array: da.Array) -> str:
    """Return a digest of how an array is computed.

    What `extract` and `project` made has one that depends on what was asked only, not on the budget or the place of the recording. Of what
    dask does besides, the names count, which do change with these.
    """
    layers = _mappings(array)
    slabs = {name: layer for name, layer in layers.items() if isinstance(layer, SlabLayer)}
    shared = {key for layer in slabs.values() for key in layer.shared.values()}
    facts = [layer.asked for layer in slabs.values()]
    for name in layers.keys() - slabs.keys() - shared:
        owner = next((one for one in slabs if name.endswith(one)), "")
        facts.append(name.removesuffix(owner))
    return combine(sorted(facts), str(array.dtype), array.shape)


def _mappings(array: da.Array) -> dict[str, Any]:
    return {name: getattr(layer, "mapping", layer) for name, layer in array.dask.layers.items()}
