"""`voicebot models ...`: each action prints to stdout and returns an exit code."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from ..errors import ConfigError, MissingDependency
from ..weights import manifest as weights
from ..weights.download import pull as pull_one
from ..weights.download import remove as remove_one
from ..weights.manifest import amount

WIDTH = 16
"""Characters of the progress bar; the rest of a line of 80 tells of the file."""
SETTLED_S = 1.0
"""Seconds of a download before its speed says how long the rest takes."""


def list_models(folder: Path) -> int:
    """Every model there is with its state, the profiles, and the folder."""
    models, lock = weights.manifest(), weights.locked(folder)
    rows = [("NAME", "ENGINE", "SIZE", "LICENCE", "LANGUAGES", "STATE")]
    for model in models.values():
        state = "incomplete" if (folder / model.name).exists() else "missing"
        if weights.present(model, folder):
            state = "verified" if model.name in lock else "present"
        languages = " ".join(model.languages).replace("mul", "many")
        rows.append((model.name, model.engine, amount(model.size), model.licence, languages, state))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    print()
    for profile, names in weights.profiles().items():
        size = sum(models[name].size for name in names)
        print(f"profile {profile}: {amount(size)}, {', '.join(names)}")
    print(f"in {folder}")
    return 0


def pull(
    names: list[str], folder: Path, update: bool = False, given: str | Path | None = None
) -> int:
    """Bring the named models, or those of the named profiles, into `folder`.

    given: a folder that may have them already, to look into first.

    Raises:
        ConfigError: there is no such name, `folder` cannot be written to, or `given` is none.
        MissingDependency: no source has it.
        IntegrityError: what the sources have is not what was promised.
    """
    near = Path(given).expanduser() if given else None
    if near and not near.is_dir():
        raise ConfigError(f"--from: {near} is not a folder")
    models = weights.chosen(names)
    if len(models) > 1:
        print(f"{len(models)} models, {amount(sum(model.size for model in models))}", flush=True)
    for model in models:
        report = _Bar(model.name) if sys.stdout.isatty() else _Lines(model.name)
        try:
            fetched = pull_one(model, folder, update=update, given=near, report=report)
        finally:
            report.close()
        print(f"{model.name}: {'verified' if fetched else 'already here'}", flush=True)
    return 0


def remove(names: list[str], folder: Path) -> int:
    """Delete the named models, or those of the named profiles, from `folder`.

    Raises:
        ConfigError: there is no such name, or `folder` cannot be written to.
        MissingDependency: none of the model's files is here.
    """
    models = weights.chosen(names)
    for name, model in zip(names, models, strict=False):
        if "/" in name:
            raise ConfigError(f"{name}: a model is removed whole, by its name {model.name}")
    here = [model for model in models if (folder / model.name).is_dir()]
    if not here:
        raise MissingDependency(f"{models[0].name} is not in {folder}")
    for model in here:
        print(f"{model.name}: removed, {amount(remove_one(model, folder))} freed", flush=True)
    return 0


def verify(names: list[str], folder: Path) -> int:
    """Read the named models, or all that are here, and say which file differs; 1 if one does.

    Raises:
        ConfigError: there is no such name.
        MissingDependency: none of the model's files is here.
    """
    models = weights.chosen(names or [*weights.manifest()])
    here = [
        model
        for model in models
        if any((folder / model.name / f.path).exists() for f in model.files)
    ]
    absent = [model.name for model in models if model not in here]
    if names and absent:
        raise MissingDependency(f"{absent[0]} is not in {folder}; voicebot models pull {absent[0]}")
    wrong = 0
    for model in here:
        faults = weights.faults(model, folder)
        wrong += len(faults)
        print("\n".join(faults) or f"{model.name}: verified", flush=True)
    if wrong:
        print("voicebot models pull fetches what is wrong again")
    if not here:
        print(f"no models in {folder}")
    return 1 if wrong else 0


def path(name: str, folder: Path) -> int:
    """Where an engine finds the model.

    Raises:
        MissingDependency: it has not been pulled.
        ConfigError: there is no such model.
    """
    print(weights.resolve(name, folder))
    return 0


def export(name: str, folder: Path) -> int:
    """Make an ONNX model of the Kokoro `name` beside it, and print where it is.

    name: of the manifest, or a path.

    Raises: as `voicebot.engines.kokoro.export.export`.
    """
    from ..engines.kokoro.export import export as export_one  # numpy, which no other action needs

    print(export_one(weights.resolve(name, folder)))
    return 0


class _Lines:
    """One line for each file, once it is here: for logs."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._told = ""

    def __call__(self, file: str, done: int, total: int) -> None:
        if done >= total and self._told != file:
            self._told = file
            print(f"{self._model}: {file} {amount(done)}", flush=True)

    def close(self) -> None:
        pass


class _Bar:
    """A bar that fills in place, one line for each file or wheel, with its speed."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._shown = ("", -1, 0)
        self._began = (0.0, 0)

    def __call__(self, file: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._shown[0] != file:
            if self._shown[0]:
                print()
            self._began = (now, done)  # what an earlier pull brought says nothing of the speed
        share = done * 1000 // total if total else 1000
        # Drawn when a digit changes, so at most a thousand times, and once a second.
        since = int(now - self._began[0])
        if self._shown == (file, share, since):
            return
        self._shown = (file, share, since)
        bar = ("#" * (share * WIDTH // 1000)).ljust(WIDTH, ".")
        said = f"{bar} {share / 10:5.1f} % of {amount(total)}{self._pace(now, done, total)} {file}"
        width = shutil.get_terminal_size().columns
        print(f"\r{f'{self._model}: {said}':<{width - 1}}"[:width], end="", flush=True)

    def _pace(self, now: float, done: int, total: int) -> str:
        taken, brought = now - self._began[0], done - self._began[1]
        if taken < SETTLED_S or not brought:
            return ""
        left = round((total - done) * taken / brought)
        until = f", {left // 60}:{left % 60:02} left" if done < total else ""
        return f", {amount(round(brought / taken))}/s{until}"

    def close(self) -> None:
        """Leave the line, however the pull ended."""
        if self._shown[0]:
            print()
