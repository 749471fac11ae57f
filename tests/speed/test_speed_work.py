"""What the peers of the speed benchmark compute: the same network and the same rule, one step and a round of each."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from benchmarks.speed import __main__ as entry
from benchmarks.speed import images, keras_fit, measuring, ours, plain, product, profile, turns, worker
from benchmarks.speed.pipes import Process
from fewepochs import recipe as recipes
from fewepochs.data import sources
from fewepochs.nets import kernels
from fewepochs.specs import updates

COUNTS = json.loads((Path(__file__).parent.parent / "goldens" / "keras_parameter_counts.json").read_text())[
    "trainable_parameters"
]["resnet-v2"]
DEPTH, BATCH, IMAGES = 20, 4, 16


def peer(kind: turns.Kind, *, depth: int = DEPTH) -> turns.Peer:
    """Return a small peer of as many threads as the tests have."""
    return turns.Peer(kind, kind, tuple(range(torch.get_num_threads())), batch=BATCH, depth=depth)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a few images; ours is given the same instead of CIFAR-10."""
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    labels = draws.integers(0, 10, IMAGES)
    images.write(tmp_path, pixels=pixels, labels=labels)
    part = sources.Images(pixels, labels)
    few = sources.DataSet("cifar10", part, part, tuple("0123456789"), 255, "0" * 64, "drawn", "nothing")
    monkeypatch.setattr(sources, "load", lambda kind, where: few)
    monkeypatch.setattr(kernels, "available", lambda: "torch")  # compiling takes seconds
    return tmp_path


Make = Callable[[Path], worker.Work]
WORKS = [
    pytest.param(lambda folder: ours.Ours(peer("ours"), data=folder), id="ours"),
    pytest.param(lambda folder: plain.Plain(peer("plain"), data=folder), id="plain"),
    pytest.param(
        lambda folder: plain.Plain(replace(peer("plain"), channels_last=True, precision="bfloat16"), data=folder),
        id="plain, channels-last, bfloat16",
    ),
    pytest.param(
        lambda folder: keras_fit.KerasFit(peer("keras"), data=folder),
        id="keras",
        # keras 3.15 with scipy 1.17: the module that its image generator takes from scipy
        marks=[
            pytest.mark.slow,
            pytest.mark.filterwarnings("ignore:Please import .affine_transform.:DeprecationWarning"),
        ],
    ),
]


@pytest.mark.parametrize("make", WORKS)
def test_a_peer_trains_the_network_of_the_depth_asked_for(make: Make, folder: Path) -> None:
    work = make(folder)
    work.first_step()
    assert work.facts()["trainable_parameters"] == COUNTS[str(DEPTH)]
    for augmented in (True, False):
        found = work.round(steps=2, augmented=augmented)
        assert min(found.values()) > 0
        assert "seconds" in found


def test_the_network_of_the_comparison_has_as_many_parameters_as_the_published_one() -> None:
    assert COUNTS[str(turns.DEPTH)] == 1_663_338
    side_by_side = [one for one in turns.side_by_side((0,)).peers if one.kind != "product"]
    assert {one.depth for one in side_by_side} == {turns.DEPTH}


@pytest.mark.slow
def test_the_three_networks_of_the_comparison_have_as_many_parameters(folder: Path) -> None:
    kinds: tuple[turns.Kind, ...] = ("ours", "plain", "keras")
    for kind in kinds:
        assert worker.build(peer(kind, depth=turns.DEPTH), data=folder).facts()["trainable_parameters"] == 1_663_338


def test_the_plain_loop_follows_the_recipes_rule() -> None:
    recipe = recipes.load(turns.RECIPE)
    assert isinstance(recipe.regularisation, updates.L2)
    assert recipe.regularisation.on == "conv-kernels"
    # The gradient of strength * sum(w^2) is 2 * strength * w.
    assert (recipe.optimizer.lr, 2 * recipe.regularisation.strength) == (plain.RATE, plain.DECAY)


def test_images_are_fed_with_the_mean_image_subtracted(folder: Path) -> None:
    found, labels = images.read(folder)
    whole = np.load(folder / images.PIXELS).astype(np.float64) / 255
    np.testing.assert_allclose(found, whole - whole.mean(axis=0), rtol=0, atol=1e-6)
    assert labels.dtype == np.int64


def test_the_plain_loop_moves_images_by_whole_pixels_and_mirrors_them() -> None:
    image = torch.arange(1.0, 1 + 3 * 32 * 32).reshape(1, 3, 32, 32)
    still, moving = (plain.Pictures(image, torch.tensor([3]), augmented=a) for a in (False, True))
    assert torch.equal(still[0][0], image[0])
    padded = torch.nn.functional.pad(image[0], (plain.PADDING,) * 4)
    crops = [padded[:, top : top + 32, left : left + 32] for top in range(9) for left in range(9)]
    for _ in range(20):
        found, label = moving[0]
        assert any(torch.equal(found, crop) or torch.equal(found, crop.flip(2)) for crop in crops)
        assert label == 3


def test_a_round_of_products_takes_the_fastest() -> None:
    made = product.Product(peer("product"), side=64)
    assert made.round(steps=2, augmented=True)["seconds"] > 0
    assert product.FLOPS == 2 * 2048**3


def test_a_profile_adds_up_to_one_and_knows_convolutions_by_their_names(folder: Path) -> None:
    found = profile.measured(peer("ours"), data=folder, steps=2)
    assert sum(share["lowest"] for share in found["shares"].values()) <= 1
    assert sum(share["highest"] for share in found["shares"].values()) >= 1
    convolutions = [found["shares"][f"convolutions, {way}"]["median"] for way in ("forward", "backward")]
    assert min(convolutions) > 0, "torch calls them otherwise than benchmarks/speed/profile.py"


def test_what_has_no_kind_is_counted_as_the_rest() -> None:
    class Found(NamedTuple):
        key: str
        self_cpu_time_total: float

    shares = profile.shares([Found("aten::add", 1.0), Found("aten::add_", 2.0), Found("aten::new", 1.0)])
    assert shares == {**dict.fromkeys(profile.KINDS.values(), 0.0), "additions": 0.75, profile.REST: 0.25}


def test_peak_memory_is_read_from_the_process_or_unknown(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmPeak:\t  99 kB\nVmHWM:\t   7 kB\nVmRSS:\t   5 kB\n")
    assert worker.peak_memory_bytes(tmp_path / "status") == 7 * 1024
    assert worker.peak_memory_bytes(tmp_path / "none") is None


@pytest.mark.slow
def test_a_worker_answers_round_for_round_and_ends_with_its_questions(tmp_path: Path) -> None:
    one = turns.Peer("product", "product", (min(os.sched_getaffinity(0)),))
    command = [sys.executable, "-m", "benchmarks.speed.worker", one.to_json()]
    process = Process(command, environment=measuring.environment(threads=1), log=tmp_path / "log")
    assert process.answer(timeout=100) == {}
    assert process.answer(timeout=100)["flops"] == product.FLOPS
    for _ in range(2):
        process.ask({"steps": 1, "augmented": True})
        found = process.answer(timeout=100)
        assert found["seconds"] > 0
        assert found["peak_memory_bytes"] > 2**20
    process.close(patience=100)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--threads", "99999"], 2, "this process may use"),
        (["--depth", "57"], 2, "the depth of a ResNet v2 is 9n+2"),
        (["--data", "/nowhere"], 3, "/nowhere"),
    ],
)
def test_a_mistake_is_said_and_nothing_is_started(
    arguments: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["speed", *arguments])
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert entry.main() == code
    finally:
        signal.signal(signal.SIGTERM, before)
    assert said in capsys.readouterr().err
