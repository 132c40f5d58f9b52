"""Files of a model that lie on this machine already: in a folder, or in the hub's own cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import VoicebotError
from .manifest import File, Model, Repository

BLOCK = 1 << 20


class Copies:
    """Copies of a model's files; only of files whose hash is known, since anybody wrote them."""

    def __init__(self, folders: list[Path]) -> None:
        """folders: looked through in this order for each file's path, then for its name alone."""
        self._folders = folders

    def close(self) -> None:
        pass

    def offered(self, file: File) -> File | None:
        """The file, if there is one of its name and size."""
        return file if file.sha256 and self._find(file) else None

    def bring(self, file: File, part: Path, report: Callable[[str, int, int], None]) -> None:
        """Write the file to `part`.

        Raises:
            VoicebotError: it cannot be read.
        """
        found = self._find(file)
        try:
            with found.open("rb") as source, part.open("wb") as out:  # type: ignore[union-attr]
                while block := source.read(BLOCK):
                    out.write(block)
                    report(file.path, out.tell(), file.size or 0)
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.filename == str(found):
                raise VoicebotError(f"{found}: {error.strerror}") from error
            raise

    def _find(self, file: File) -> Path | None:
        for folder in self._folders:
            for path in (folder / file.path, folder / Path(file.path).name):
                if path.is_file() and path.stat().st_size == file.size:
                    return path
        return None


def cached(source: Repository) -> Copies:
    """What other programs keep of a repository in the hub's cache on this machine."""
    home = os.environ.get("HF_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"
    )
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser()
    repository = cache / f"models--{source.repository.replace('/', '--')}"
    snapshots = [repository / "snapshots" / source.revision]
    try:
        # A name such as "main" is a file that holds the commit.
        commit = (repository / "refs" / source.revision).read_text("utf-8").strip()
        snapshots.append(repository / "snapshots" / commit)
    except (OSError, ValueError):
        pass
    return Copies(snapshots)


def near(folder: Path, model: Model) -> Copies:
    """What lies in a folder of the user's: below the model's name, or right there."""
    return Copies([folder / model.name, folder])
