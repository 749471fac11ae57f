"""From the specs of a recipe and the weights to an optimizer."""

from __future__ import annotations

from fewepochs.optim import adam, decay, lamb, lion, muon, sgd
from fewepochs.optim.layout import Layout
from fewepochs.optim.rule import Optimizer
from fewepochs.specs import updates


def build(spec: updates.Optimizer, *, layout: Layout, weight_decay: updates.WeightDecay) -> Optimizer:
    """Return the optimizer of `spec` for the weights of `layout`, with `weight_decay` in front of it."""
    if isinstance(spec, updates.Muon):
        kernels, rest = layout.split()
        return muon.Muon(
            _decayed(muon.MuonKernels(spec, layout=kernels), weight_decay, layout=kernels),
            build(spec.auxiliary, layout=rest, weight_decay=weight_decay),
            conv_kernels=layout.conv_kernels,
            lr_ratio=spec.auxiliary.lr / spec.lr,
            rest_momentum=updates.momentum_of(spec.auxiliary) or 0.0,
        )
    return _decayed(_rule(spec, layout=layout), weight_decay, layout=layout)


def _rule(spec: updates.Optimizer, *, layout: Layout) -> Optimizer:
    match spec:
        case updates.Adam() | updates.AdamW():
            return adam.Adam(spec, layout=layout)
        case updates.Nadam():
            return adam.Nadam(spec, layout=layout)
        case updates.Sgd():
            return sgd.Sgd(spec, layout=layout)
        case updates.RmsProp():
            return sgd.RmsProp(spec, layout=layout)
        case updates.Lion():
            return lion.Lion(spec, layout=layout)
        case updates.Lamb():
            return lamb.Lamb(spec, layout=layout)
        case _:
            raise NotImplementedError(spec.kind)


def _decayed(rule: Optimizer, spec: updates.WeightDecay, *, layout: Layout) -> Optimizer:
    return rule if isinstance(spec, updates.NoWeightDecay) else decay.Decayed(rule, spec, layout=layout)
