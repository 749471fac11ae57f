"""`fewepochs noise`: from folders of runs to tables and a picture."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import problems, run
from report_runs import make_run, write


def test_noise_prints_tables_and_draws(tmp_path: Path) -> None:
    write(tmp_path / "runs", make_run("budget.epochs=90", epochs=90, drop_after=50))
    told = run("noise", "runs", "--to", "noise.svg", folder=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "1-50" in told.stdout
    assert "cannot tell" in told.stdout
    assert told.stderr.splitlines()[-1] == "picture: noise.svg"
    assert (tmp_path / "noise.svg").read_text().startswith("<svg")
    found = json.loads(run("noise", "runs", "--json", "--spike", "2", folder=tmp_path).stdout)
    assert (found["table"], found["by"], len(found["tables"])) == ("noise", "epochs", 2)


def test_mistakes_are_told(tmp_path: Path) -> None:
    write(tmp_path / "runs", make_run())
    for arguments in (("--spike", "0"), ("--by", "steps"), ("--to", "x.doc"), ("--csv", "--json")):
        told = run("noise", "runs", *arguments, folder=tmp_path)
        assert told.returncode == 2
        assert problems(told)
    (tmp_path / "noise.json").write_text(run("noise", "runs", "--json", folder=tmp_path).stdout)
    refused = run("noise", "runs", "--gradient-noise", "noise.json", folder=tmp_path)
    assert (refused.returncode, problems(refused)) == (
        2,
        ["probe: another probe (got 'noise'); allowed: gradient-noise"],
    )
    refused = run("noise", "runs", "--gradient-noise", "nowhere.json", folder=tmp_path)
    assert (refused.returncode, "nowhere.json: cannot be read" in refused.stderr) == (5, True)
    refused = run("train", "digits-step", "--evaluate-every", "0", folder=tmp_path)
    assert refused.returncode == 2
    assert "--evaluate-every: not a number of steps" in refused.stderr
