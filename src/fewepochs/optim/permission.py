"""Which code a recipe may name: none, unless the command line allows its module.

A recipe can come from a stranger, and importing a module runs it. So an optimizer by dotted name (`kind = "python"`) is
imported only if whoever starts the run has allowed it (`--allow-code mypkg`); no field of a recipe and nothing in a
run folder can. This module needs no torch: a recipe is refused before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from fewepochs.errors import Problem, RecipeError
from fewepochs.specs import updates


def require_allowed(spec: updates.Optimizer, *, allow_code: Sequence[str]) -> None:
    """Raise RecipeError unless `allow_code`, dotted names of packages or modules, covers the code that `spec` names."""
    if not isinstance(spec, updates.PythonOptimizer) or any(covers(name, spec.target) for name in allow_code):
        return
    module = spec.target.rpartition(".")[0]
    problem = Problem(
        "optimizer.target",
        f"names code, and a recipe runs none by itself: if you trust the module, add --allow-code {module}",
        repr(spec.target),
    )
    raise RecipeError("recipe", (problem,))


def covers(allowed: str, target: str) -> bool:
    """Return whether the dotted name `target` is `allowed` or lies below it; names match by whole parts.

    >>> covers("mypkg", "mypkg.optim.Fancy"), covers("mypkg.opt", "mypkg.optim.Fancy")
    (True, False)
    """
    parts = allowed.split(".")
    return target.split(".")[: len(parts)] == parts
