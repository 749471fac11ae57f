"""What of a place on Ray needs no cluster: room, versions, what a loss is called; then a real cluster, by a marker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import command_line
from fewepochs.study import on_ray
from study import study_files

TOOL = Path(__file__).parents[2] / "tools" / "study_on_ray.py"

STUDY = """
name = "twice"
base = "tiny.toml"
seeds = [0, 1, 2, 3]
[set]
budget.epochs = 60
[arms.a]
"""


@pytest.mark.parametrize(
    ("nodes", "needs", "slots"),
    [
        ([], {"CPU": 1.0}, 0),
        ([{"CPU": 4.0}, {"CPU": 3.0}], {"CPU": 2.0, "GPU": 0.0}, 3),
        ([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0}], {"CPU": 1.0, "GPU": 0.25}, 4),
        ([{"CPU": 2.0, "GPU": 8.0}], {"CPU": 1.0, "GPU": 0.1}, 2),
        ([{"CPU": 1.0}], {"CPU": 0.1}, 10),
        ([{"CPU": 1.0}], {"CPU": 1.5}, 0),
    ],
)
def test_as_many_cells_as_whole_nodes_have_room_for(
    nodes: Sequence[dict[str, float]], needs: dict[str, float], slots: int
) -> None:
    assert on_ray.slots_of(nodes, needs) == slots


@given(
    nodes=st.lists(st.fixed_dictionaries({"CPU": st.integers(0, 64), "GPU": st.integers(0, 8)}), max_size=6),
    cpus=st.integers(1, 16),
    gpus=st.integers(0, 4),
)
def test_room_is_what_handing_out_one_by_one_gives(nodes: list[dict[str, int]], cpus: int, gpus: int) -> None:
    left, handed = [dict(node) for node in nodes], 0
    for node in left:
        while node["CPU"] >= cpus and node["GPU"] >= gpus:
            node["CPU"] -= cpus
            node["GPU"] -= gpus
            handed += 1
    assert on_ray.slots_of(nodes, {"CPU": cpus, "GPU": gpus}) == handed


@pytest.mark.parametrize(
    ("nodes", "needs", "together"),
    [
        ([], {"CPU": 1.0}, 1),
        ([{"CPU": 4.0}, {"CPU": 3.0}], {"CPU": 2.0, "GPU": 0.0}, 2),
        ([{"CPU": 2.0}, {"CPU": 3.0}], {"CPU": 2.0}, 1),
        ([{"CPU": 1.0}], {"CPU": 2.0}, 1),
        ([{"CPU": 8.0, "GPU": 4.0}], {"CPU": 1.0, "GPU": 1.0}, 1),
        ([{"CPU": 8.0, "GPU": 1.0}], {"CPU": 1.0, "GPU": 0.25}, 4),
        ([{"CPU": 3.0, "GPU": 1.0}], {"CPU": 1.0, "GPU": 0.25}, 3),
        ([{"CPU": 8.0, "GPU": 4.0}], {"CPU": 1.0, "GPU": 2.0}, 1),
    ],
)
def test_cells_share_a_gpu_or_the_processors_of_a_node(
    nodes: Sequence[dict[str, float]], needs: dict[str, float], together: int
) -> None:
    assert on_ray.together_of(nodes, needs) == together


def test_versions_that_differ_are_named() -> None:
    assert on_ray.differing({"torch": "2", "numpy": "1"}, {"torch": "2", "numpy": "1"}) == []
    assert on_ray.differing({"torch": "2", "numpy": "1"}, {"torch": "3"}) == [
        "torch: 3 there, 2 here",
        "numpy: None there, 1 here",
    ]


def test_what_was_lost_is_told_in_one_line() -> None:
    assert on_ray.lost(RuntimeError("\n  The node died.\nmuch more")) == "lost with its worker or node: The node died."
    assert on_ray.lost(RuntimeError()) == "lost with its worker or node: RuntimeError"
    error = RuntimeError("a long trace")
    error.cause = OSError("disk full")  # type: ignore[attr-defined]
    assert on_ray.lost(error) == "failed on its node: OSError: disk full"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--gpus-per-cell", "0.5"), "with --ray ADDRESS"),
        (("--cpus-per-cell", "2"), "with --ray ADDRESS"),
        (("--ray", "auto", "--cpus-per-cell", "0"), "not a share of a machine"),
        (("--ray", "auto", "--gpus-per-cell", "nan"), "not a share of a machine"),
        (("--ray", "ray://10.0.0.1:10001"), "run this command on a node of the cluster"),
    ],
)
def test_what_no_cluster_can_be_asked_for_is_refused(tmp_path: Path, options: Sequence[str], told: str) -> None:
    study_files.home(tmp_path)
    ended = command_line.run("study", "run", "study.toml", *options, folder=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:port", "no.such.host.invalid:6379"])
def test_an_address_that_nobody_answers_is_a_clear_mistake(tmp_path: Path, address: str) -> None:
    study_files.home(tmp_path)
    ended = command_line.run("study", "run", "study.toml", "--ray", address, folder=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert "no cluster answers" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_ray_the_command_says_how_to_get_it(tmp_path: Path) -> None:
    study_files.home(tmp_path)
    (tmp_path / "ray.py").write_text("raise ImportError('not here')\n")  # the working directory comes first
    ended = command_line.run("study", "run", "study.toml", "--ray", "auto", folder=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert "pip install" in ended.stderr


@pytest.mark.ray
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2: namespaces")
def test_a_study_on_a_cluster_that_loses_a_worker_and_a_node_ends_in_the_same_bits(tmp_path: Path) -> None:
    file = study_files.home(tmp_path, STUDY)
    command = [sys.executable, str(TOOL), str(file), "--to", str(tmp_path / "found.json")]
    subprocess.run(command, check=True, env=command_line.environment(tmp_path))
    found = json.loads((tmp_path / "found.json").read_text())
    assert [loss["what"] for loss in found["killed"]] == ["Ray worker", "node"]
    assert (found["equal"], found["different"]) == (4, [])
    assert found["gone_on_with"]
