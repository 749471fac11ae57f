"""Slow, obvious update rules: one tensor at a time in numpy's float64, every control a Python float.

Written from the papers' formulas and the references' sources, one function a rule. Each takes a spec and returns a
function that makes one step after another of one tensor and owns that tensor's state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fewepochs.specs import updates

Array = npt.NDArray[np.float64]
Named = Mapping[str, Array]
Step = Callable[[Array, Array, float, float], Array]
"""(weights, gradient, lr, momentum) -> the weights after the step."""
ZERO: Array = np.zeros(())


def follow(
    spec: updates.Optimizer,
    start: Named,
    gradients: Iterable[Named],
    controls: Iterable[tuple[float, float, float]],
    *,
    decay: updates.WeightDecay,
    touched: Sequence[str],
    conv_kernels: Sequence[str],
) -> Named:
    """Return the weights after all steps; `decay` acts on the tensors that `touched` names."""
    weights = {name: tensor.copy() for name, tensor in start.items()}
    rules = {name: _rule(spec, conv_kernel=name in conv_kernels) for name in weights}
    for gradient, (lr, momentum, strength) in zip(gradients, controls, strict=True):
        for name, w in weights.items():
            g, own_lr, own_momentum = gradient[name], lr, momentum
            if isinstance(spec, updates.Muon) and name not in conv_kernels:
                own_lr, own_momentum = lr * spec.auxiliary.lr / spec.lr, updates.momentum_of(spec.auxiliary) or 0.0
            if name in touched:
                match decay.kind:
                    case "coupled":
                        g = g + strength * w
                    case "decoupled":
                        w = w - own_lr * strength * w
                    case "independent":
                        w = w - strength * w
            weights[name] = rules[name](w, g, own_lr, own_momentum)
    return weights


def _rule(spec: updates.Optimizer, *, conv_kernel: bool) -> Step:
    match spec:
        case updates.Adam() | updates.AdamW():
            return _adam(spec)
        case updates.Nadam():
            return _nadam(spec)
        case updates.Sgd():
            return _sgd(spec)
        case updates.RmsProp():
            return _rmsprop(spec)
        case updates.Lion():
            return _lion(spec)
        case updates.Lamb():
            return _lamb(spec)
        case updates.Muon():
            return _muon(spec) if conv_kernel else _rule(spec.auxiliary, conv_kernel=False)
        case _:
            raise AssertionError(f"no oracle for {spec.kind}")


def _adam(spec: updates.Adam | updates.AdamW) -> Step:
    m, v, t = ZERO, ZERO, 0

    def step(w: Array, g: Array, lr: float, beta_1: float) -> Array:
        nonlocal m, v, t
        t += 1
        m = beta_1 * m + (1 - beta_1) * g
        v = spec.beta_2 * v + (1 - spec.beta_2) * g**2
        if spec.semantics == "keras":
            alpha = lr * math.sqrt(1 - spec.beta_2**t) / (1 - beta_1**t)
            fall: Array = alpha * m / (np.sqrt(v) + spec.epsilon)
        else:
            m_hat, v_hat = m / (1 - beta_1**t), v / (1 - spec.beta_2**t)
            fall = lr * m_hat / (np.sqrt(v_hat) + spec.epsilon)
        return w - fall

    return step


def _nadam(spec: updates.Nadam) -> Step:
    m, v, t, product = ZERO, ZERO, 0, 1.0

    def u(step: int) -> float:
        return spec.beta_1 * (1 - math.pow(0.96, step * spec.momentum_decay) / 2)

    def step(w: Array, g: Array, lr: float, _: float) -> Array:
        nonlocal m, v, t, product
        t += 1
        product *= u(t)
        m = spec.beta_1 * m + (1 - spec.beta_1) * g
        v = spec.beta_2 * v + (1 - spec.beta_2) * g**2
        m_hat = u(t + 1) * m / (1 - product * u(t + 1)) + (1 - u(t)) * g / (1 - product)
        moved: Array = w - lr * m_hat / (np.sqrt(v / (1 - spec.beta_2**t)) + spec.epsilon)
        return moved

    return step


def _sgd(spec: updates.Sgd) -> Step:
    b = ZERO

    def step(w: Array, g: Array, lr: float, momentum: float) -> Array:
        nonlocal b
        if spec.semantics == "keras":
            b = momentum * b - lr * g
            return w + (momentum * b - lr * g if spec.nesterov else b)
        b = momentum * b + g
        return w - lr * (g + momentum * b if spec.nesterov else b)

    return step


def _rmsprop(spec: updates.RmsProp) -> Step:
    v, mean, b = ZERO, ZERO, ZERO

    def step(w: Array, g: Array, lr: float, momentum: float) -> Array:
        nonlocal v, mean, b
        v = spec.rho * v + (1 - spec.rho) * g**2
        mean = spec.rho * mean + (1 - spec.rho) * g if spec.centered else ZERO
        if spec.semantics == "keras":
            b = momentum * b + lr * g / np.sqrt(v - mean**2 + spec.epsilon)
            return w - b
        b = momentum * b + g / (np.sqrt(v - mean**2) + spec.epsilon)
        return w - lr * b

    return step


def _lion(spec: updates.Lion) -> Step:
    m = ZERO

    def step(w: Array, g: Array, lr: float, _: float) -> Array:
        nonlocal m
        direction = np.sign(spec.beta_1 * m + (1 - spec.beta_1) * g)
        m = spec.beta_2 * m + (1 - spec.beta_2) * g
        moved: Array = w - lr * direction
        return moved

    return step


def _lamb(spec: updates.Lamb) -> Step:
    m, v, t = ZERO, ZERO, 0

    def step(w: Array, g: Array, lr: float, _: float) -> Array:
        nonlocal m, v, t
        t += 1
        m = spec.beta_1 * m + (1 - spec.beta_1) * g
        v = spec.beta_2 * v + (1 - spec.beta_2) * g**2
        u = m / (1 - spec.beta_1**t) / (np.sqrt(v / (1 - spec.beta_2**t)) + spec.epsilon)
        w_norm, u_norm = math.sqrt(float(np.sum(w**2))), math.sqrt(float(np.sum(u**2)))
        moved: Array = w - lr * (w_norm / u_norm if w_norm > 0 and u_norm > 0 else 1.0) * u
        return moved

    return step


def _muon(spec: updates.Muon) -> Step:
    b = ZERO

    def step(w: Array, g: Array, lr: float, momentum: float) -> Array:
        nonlocal b
        rows, columns = w.shape
        b = momentum * b + g
        u = g + momentum * b if spec.nesterov else b
        scales = {"none": 1.0, "aspect": math.sqrt(max(1, rows / columns)), "rms": 0.2 * math.sqrt(max(rows, columns))}
        if spec.unit_filters:
            w = w * math.sqrt(rows) / math.sqrt(float(np.sum(w**2)))
        moved: Array = w - lr * scales[spec.scale] * newton_schulz(u, iterations=spec.iterations)
        return moved

    return step


def newton_schulz(matrix: Array, *, iterations: int) -> Array:
    """Return the matrix with its singular values s mapped by 3.4445 s - 4.7750 s^3 + 2.0315 s^5, again and again."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / math.sqrt(float(np.sum(matrix**2)))
    for _ in range(iterations):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    moved: Array = (left * values) @ right
    return moved
