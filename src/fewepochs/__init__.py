"""fewepochs: how many epochs - and seconds, and joules - does a training recipe need to reach a target accuracy?

In a notebook, for runs that are stored:

    import fewepochs

    runs = fewepochs.load("runs")
    runs.to_pandas()                      # a row an epoch
    fewepochs.figures.curves(runs)        # the figures of the report
    fewepochs.compare(runs).headline      # who needs fewer epochs, and whether that could be chance

Names are fetched when they are asked for: importing fewepochs costs nothing, and nothing here needs torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewepochs.api import figures
    from fewepochs.api.reading import Comparison, Runs, compare, load

__all__ = ["Comparison", "Runs", "compare", "figures", "load"]


def __getattr__(name: str) -> Any:
    """Return a name of `__all__`, importing where it lives."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "figures":
        return importlib.import_module("fewepochs.api.figures")
    return getattr(importlib.import_module("fewepochs.api.reading"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
