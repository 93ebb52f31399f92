"""What is recorded of where a run took place, in a folder that may be anybody's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from firstlight import processes
from firstlight.experiments.environment import environment

COMMIT = "0123456789ab" * 3 + "cdef"


def git(folder: Path, *arguments: str) -> str:
    """What git says, with nothing of this machine's configuration."""
    plain = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=trunk")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, env=plain, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a commit, in a folder of which one works."""
    folder = tmp_path / "project"
    (folder / "deep" / "down").mkdir(parents=True)
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    monkeypatch.chdir(folder / "deep" / "down")
    return folder


def test_the_commit_is_that_of_git(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")[:12]
    assert environment().git == commit
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git" / "refs" / "heads" / "trunk").exists()
    assert environment().git == commit
    git(repository, "checkout", "-q", "--detach")
    assert environment().git == commit


def test_a_worktree_has_its_own_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repository, "worktree", "add", "-q", "-b", "other", "../other")
    git(repository, "commit", "-q", "--allow-empty", "-m", "y")
    monkeypatch.chdir(repository.parent / "other")
    assert environment().git == git(repository, "rev-parse", "other")[:12]
    git(repository, "pack-refs", "--all")
    assert environment().git == git(repository, "rev-parse", "other")[:12]


def test_nothing_that_a_configuration_names_is_carried_out(repository: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with (repository / ".git" / "config").open("a") as file:
        file.write(f'[core]\n\tfsmonitor = "touch {mark}; false"\n[filter "x"]\n\tclean = "touch {mark}; cat"\n')
    (repository / ".gitattributes").write_text("* filter=x\n")
    assert environment().git
    assert not mark.exists()


@pytest.mark.parametrize(
    "head", ["", "ref: ../../secret", "ref: refs/heads/../../../secret", "ref: refs/heads/none", COMMIT[:-1], "\0"]
)
def test_what_is_no_commit_is_none(repository: Path, head: str) -> None:
    (repository / "secret").write_text(COMMIT)
    (repository / ".git" / "HEAD").write_text(head)
    assert environment().git is None


@pytest.mark.skipif(sys.platform == "win32", reason="has no named pipes of this kind")
def test_a_pipe_is_not_waited_for(repository: Path) -> None:
    (repository / ".git" / "HEAD").unlink()
    os.mkfifo(repository / ".git" / "HEAD")
    assert environment().git is None


def test_outside_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert environment().git is None


def test_workers_import_nothing_from_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("raise SystemExit(7)")
    command = [sys.executable, "-c", "import colorsys"]
    assert subprocess.run(command, cwd=tmp_path).returncode == 7
    before = os.environ.get(processes.SAFE_PATH)
    with processes.safe_imports():
        assert subprocess.run(command, cwd=tmp_path).returncode == 0
    assert os.environ.get(processes.SAFE_PATH) == before


def test_numba_takes_no_settings_from_the_working_folder(tmp_path: Path) -> None:
    """A cache folder that a stranger names holds what Numba would run."""
    pytest.importorskip("yaml")
    (tmp_path / ".numba_config.yaml").write_text(f"cache_dir: {tmp_path / 'cache'}\n")
    look = "from numba.core import config; config.reload_config(); print(config.CACHE_DIR)"
    plain = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    for first, found in (("", str(tmp_path / "cache")), ("import firstlight.kernels._jit; ", "")):
        done = subprocess.run(
            [sys.executable, "-c", first + look], cwd=tmp_path, env=plain, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == found
