"""What a recipe will need, before it is run: parameters, FLOPs, steps, memory.

The network is built on the device "meta" (shapes without values) and one training step is traced: FLOPs are 2 x
multiply-adds of convolutions and matrix products, forward and backward; activation memory is what the forward pass
keeps for the backward pass. Both are exact counts of these things, not of everything a device does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from fewepochs import controls
from fewepochs import recipe as recipes
from fewepochs.nets import resnet
from fewepochs.optim import build as optimizers
from fewepochs.specs import updates
from fewepochs.train.step import DTYPES
from fewepochs.train.weights import Weights


@dataclass(frozen=True)
class DataShape:
    """Numbers of training and test images, their shape, and the number of classes."""

    train: int
    test: int
    image: resnet.ImageShape
    classes: int


KNOWN_SHAPES = {
    "cifar10": DataShape(controls.TRAINING_IMAGES["cifar10"], 10_000, resnet.ImageShape(32, 32, 3), 10),
    "cifar100": DataShape(controls.TRAINING_IMAGES["cifar100"], 10_000, resnet.ImageShape(32, 32, 3), 100),
    "digits": DataShape(controls.TRAINING_IMAGES["digits"], 360, resnet.ImageShape(8, 8, 1), 10),
}


@dataclass(frozen=True)
class Estimate:
    """What a run needs. Bytes are of the device; FLOPs are of training, forward and backward.

    `steps_per_epoch` is the first epoch's; a batch schedule changes it.
    """

    trainable_parameters: int
    training_images: int
    steps_per_epoch: int
    steps: int
    flops_per_image: int
    flops_per_step: int
    flops_per_epoch: int
    weights_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    data_bytes: int
    memory_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def estimate(recipe: recipes.Recipe, *, data: DataShape) -> Estimate:
    """Return what `recipe` needs on data of the given shape; nothing is allocated.

    Raises RecipeError where training does: with nothing left to train on, or less than a batch.
    """
    images = controls.images_left(recipe.data, images=data.train)
    controls.require_batch(recipe, images=images)
    network = resnet.build(
        recipe.network, image=data.image, classes=data.classes, init_seed=0, dropout_seed=0, device="meta"
    )
    batch = min(max(controls.batch_sizes(recipe)), images)
    dtype = DTYPES[recipe.precision]
    flops, activations = _trace(network, batch=batch, data=data, dtype=dtype)
    parameters = sum(p.numel() for p in network.parameters())
    wide = 8 if dtype == torch.float64 else 4
    copies = 0 if dtype.itemsize == wide else parameters * dtype.itemsize
    weights = parameters * wide * 2 + copies  # the master weights, one gradient, the copy in the compute type
    optimizer = _optimizer_bytes(recipe, network, dtype=dtype)
    pixels = (data.train + data.test) * data.image.pixels * data.image.channels
    horizon = controls.horizon(recipe, images=images)
    return Estimate(
        trainable_parameters=parameters,
        training_images=images,
        steps_per_epoch=horizon.epoch_steps[0],
        steps=horizon.steps,
        flops_per_image=flops // batch,
        flops_per_step=flops,
        flops_per_epoch=flops // batch * images,
        weights_bytes=weights,
        optimizer_bytes=optimizer,
        activations_bytes=activations,
        data_bytes=pixels,
        memory_bytes=weights + optimizer + activations + pixels,
    )


def _optimizer_bytes(recipe: recipes.Recipe, network: resnet.ResNet, *, dtype: torch.dtype) -> int:
    """Return the bytes of the optimizer's state; two vectors for rules that are not ours, as most of them have."""
    layout = Weights(network, dtype=dtype).layout
    match recipe.optimizer:
        case updates.PythonOptimizer() | updates.ScheduleFreeSgd() | updates.ScheduleFreeAdamW():
            return 2 * layout.vector.nbytes
        case spec:
            made = optimizers.build(spec, layout=layout, weight_decay=recipe.weight_decay)
            return sum(tensor.nbytes for tensor in made.state().values() if tensor.dim())


def _trace(network: resnet.ResNet, *, batch: int, data: DataShape, dtype: torch.dtype) -> tuple[int, int]:
    """Return the FLOPs of one step and the bytes kept for its backward pass."""
    kept: dict[int, torch.UntypedStorage] = {}
    weights = {id(p.untyped_storage()) for p in network.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in weights:
            kept[storage._cdata] = storage  # holding it keeps its identity from being given away again
        return tensor

    network.to(dtype).train()
    image = data.image
    x = torch.empty(batch, image.channels, image.height, image.width, dtype=dtype, device="meta")
    labels = torch.zeros(batch, dtype=torch.int64, device="meta")
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = F.cross_entropy(network(x), labels)
        torch.autograd.grad(loss, list(network.parameters()))
    return int(counter.get_total_flops()), sum(storage.nbytes() for storage in kept.values())
