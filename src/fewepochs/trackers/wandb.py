"""Weights & Biases, offline: what is written waits on this machine until its user says `wandb sync`.

Files that are synced one after the other under one run id do not add up: the later one takes the place of the earlier.
So a part is always the whole run, and a newer one takes the place of the older one here, too. What was written last is
kept in `fewepochs.json` beside the parts: a user may have synced and cleaned them away.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewepochs import disk
from fewepochs.trackers import story, wandb_file

if TYPE_CHECKING:
    import wandb

FOLDER, SENT = "wandb", "fewepochs.json"
PART = re.compile(r"offline-run-[\w-]+")
MAX_NAME = 128


class WandB:
    """Writes offline runs into the folder `wandb` below `to`."""

    def __init__(self, to: Path) -> None:
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # read when wandb is imported
        import wandb

        self._wandb = wandb
        self._to = to.absolute()
        self._sent = self._to / FOLDER / SENT

    def send(self, told: story.Story, *, later: bool = False) -> int:
        """Write the run unless it stands there as it is; return how many epochs were new.

        Nobody looks at offline files while a run goes on: with `later` nothing is written yet.
        """
        known = self._known()
        before = known.get(told.digest, {})
        content = json.dumps(dataclasses.asdict(dataclasses.replace(told, heartbeat="")), sort_keys=True, default=str)
        mark = hashlib.sha256(content.encode()).hexdigest()
        if later or before.get("sha256") == mark:
            return 0
        part = self._write(told)
        known[told.digest] = {"part": part, "epochs": len(told.points), "sha256": mark}
        disk.write_whole(self._sent, (json.dumps(known, indent=2, sort_keys=True) + "\n").encode())
        old = str(before.get("part"))
        if PART.fullmatch(old) and old != part:
            shutil.rmtree(self._to / FOLDER / old, ignore_errors=True)
        return max(0, len(told.points) - int(before.get("epochs", 0)))

    def close(self) -> None:
        """End wandb's own process."""
        with suppress(Exception):  # everything is written by now
            self._wandb.teardown()

    def _known(self) -> dict[str, Any]:
        """Return what was written last of each run; what is not ours to read is as good as absent."""
        try:
            known = json.loads(self._sent.read_bytes())
        except (OSError, ValueError):
            return {}
        entries = known.items() if isinstance(known, dict) else ()
        return {digest: entry for digest, entry in entries if isinstance(entry, dict)}

    def _write(self, told: story.Story) -> str:
        """Write the whole run as a part of its own; return its folder's name."""
        run = self._begin(told)
        folder, file = Path(run.settings.sync_dir), Path(run.settings.sync_file)
        try:
            for point in told.points:
                times = {"_timestamp": _begun(told) + point.seconds, "_runtime": point.seconds} if told.seconds else {}
                run.log({"epoch": point.epoch, **point.values, **times}, step=point.epoch)
            run.summary.update({name: words for name, words in told.tags.items() if name not in _fixed(told)})
        finally:
            run.finish(exit_code=0 if told.state in ("finished", "running", "interrupted") else 1)
        if folder.parent.resolve() != (self._to / FOLDER).resolve():
            raise OSError(f"wandb wrote to {folder.parent} instead: can it write here?")
        if not self._is_whole(file, epochs=len(told.points)):
            shutil.rmtree(folder, ignore_errors=True)
            raise OSError("the file that wandb wrote is not whole: is there space?")
        return folder.name

    def _is_whole(self, file: Path, *, epochs: int) -> bool:
        """Return whether the file is whole, at the latest when the process that writes it has ended."""
        if not wandb_file.is_whole(file, epochs=epochs):
            self._wandb.teardown()
        return wandb_file.is_whole(file, epochs=epochs)

    def _begin(self, told: story.Story) -> wandb.Run:
        return self._wandb.init(
            dir=self._to,
            mode="offline",
            project=_plain(told.group),
            id=told.digest[:32],
            name=told.name[:MAX_NAME],
            group=_plain(f"{told.tags['recipe'][:100]}-{told.tags['digest_without_seeds'][:8]}"),
            notes=told.tags.get("summary"),
            config={**told.parameters, **{f"fewepochs.{name}": told.tags[name] for name in _fixed(told)}},
            settings=self._settings(),
        )

    def _settings(self) -> wandb.Settings:
        """Return settings with which wandb says nothing, looks at nothing but what it is given, and asks nobody."""
        return self._wandb.Settings(
            silent=True,
            console="off",
            show_errors=False,
            symlink=False,
            save_code=False,
            disable_code=True,
            disable_git=True,
            disable_job_creation=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )


def _fixed(told: story.Story) -> list[str]:
    """Return the tags that tell what a run is, and do not change as it goes on."""
    named = ("run", "recipe", "summary", "seed", "digest", "digest_without_seeds", "foreign")
    return [name for name in named if name in told.tags]


def _begun(told: story.Story) -> float:
    return datetime.fromisoformat(told.heartbeat).timestamp() - told.seconds


def _plain(name: str) -> str:
    r"""Return `name` as W&B takes it for a project or group.

    >>> _plain("a/b?")
    'a_b_'
    """
    return re.sub(r"[/\\#?%:]", "_", name)[:MAX_NAME]
