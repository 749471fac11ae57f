"""From the specs of a recipe and the weights to an optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from fewepochs.optim import adam, decay, foreign, lamb, lion, muon, schedule_free, sgd
from fewepochs.optim.layout import Layout
from fewepochs.optim.rule import Optimizer
from fewepochs.specs import updates


def build(
    spec: updates.Optimizer, *, layout: Layout, weight_decay: updates.WeightDecay, allow_code: Sequence[str] = ()
) -> Optimizer:
    """Return the optimizer of `spec` for the weights of `layout`, with `weight_decay` in front of it.

    `allow_code`: dotted names of the packages and modules that an optimizer by dotted name may come from.
    """
    rule: Optimizer
    match spec:
        case updates.Adam() | updates.AdamW():
            rule = adam.Adam(spec, layout=layout)
        case updates.Nadam():
            rule = adam.Nadam(spec, layout=layout)
        case updates.Sgd():
            rule = sgd.Sgd(spec, layout=layout)
        case updates.RmsProp():
            rule = sgd.RmsProp(spec, layout=layout)
        case updates.Lion():
            rule = lion.Lion(spec, layout=layout)
        case updates.Lamb():
            rule = lamb.Lamb(spec, layout=layout)
        case updates.PythonOptimizer():
            rule = foreign.named(spec, layout=layout, allow_code=allow_code)
        case updates.Muon():
            return _muon(spec, layout=layout, weight_decay=weight_decay)
        case updates.ScheduleFreeSgd() | updates.ScheduleFreeAdamW():
            return schedule_free.ScheduleFree(spec, layout=layout, weight_decay=weight_decay)
        case _:
            assert_never(spec)
    return _decayed(rule, weight_decay, layout=layout)


def on_device(spec: updates.Optimizer) -> bool:
    """Say whether the steps of `spec`'s optimizer ask the device nothing; see `foreign` for those that do."""
    return not isinstance(spec, updates.PythonOptimizer | updates.ScheduleFreeSgd | updates.ScheduleFreeAdamW)


def _muon(spec: updates.Muon, *, layout: Layout, weight_decay: updates.WeightDecay) -> Optimizer:
    kernels, rest = layout.split()
    return muon.Muon(
        _decayed(muon.MuonKernels(spec, layout=kernels), weight_decay, layout=kernels),
        build(spec.auxiliary, layout=rest, weight_decay=weight_decay),
        conv_kernels=layout.conv_kernels,
        lr_ratio=spec.auxiliary.lr / spec.lr,
        rest_momentum=updates.momentum_of(spec.auxiliary) or 0.0,
    )


def _decayed(rule: Optimizer, spec: updates.WeightDecay, *, layout: Layout) -> Optimizer:
    return rule if isinstance(spec, updates.NoWeightDecay) else decay.Decayed(rule, spec, layout=layout)
