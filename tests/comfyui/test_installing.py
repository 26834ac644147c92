"""Putting the node pack into a ComfyUI, and taking it away."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from latentfit.cli import main
from latentfit.comfyui import installing
from latentfit.comfyui.installing import NAME, PACK, install, uninstall
from latentfit.errors import ComfyUiError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What looks like ComfyUI from outside."""
    folder = tmp_path / "ComfyUI"
    (folder / "custom_nodes").mkdir(parents=True)
    for name in ("main.py", "nodes.py", "folder_paths.py"):
        (folder / name).write_text("")
    return folder


def place(root: Path) -> Path:
    return root / "custom_nodes" / NAME


def test_install_links_once_and_uninstall_takes_away(root: Path) -> None:
    said = install(root)
    assert f"{place(root)}: linked to {PACK}" in said
    assert str(root / "models" / NAME) in said
    assert place(root).resolve() == PACK
    assert f'pip install --no-deps "{PACK.parents[1]}"' in said, "not a name, which pip would look for elsewhere"
    assert "already; nothing changed" in install(root)
    assert "the link is gone" in uninstall(root)
    assert not place(root).exists()
    assert "not there" in uninstall(root)
    assert (PACK / "__init__.py").is_file(), "the package itself stays"


def test_a_copy_is_whole_and_replaces_and_is_replaced(root: Path) -> None:
    install(root)
    assert "copied from" in (said := install(root, copy=True))
    assert "in place of a link" in said
    assert not place(root).is_symlink()
    assert (place(root) / "__init__.py").read_text() == (PACK / "__init__.py").read_text()
    assert len(list((place(root) / "example_workflows").glob("*.json"))) >= 3
    (place(root) / "__init__.py").write_text("an older one")
    install(root, copy=True)
    assert (place(root) / "__init__.py").read_text() == (PACK / "__init__.py").read_text()
    assert "in place of a copy" in install(root)
    assert place(root).is_symlink()
    install(root, copy=True)
    assert "the copy is gone" in uninstall(root)
    assert list((root / "custom_nodes").iterdir()) == []


def test_a_copy_imports_the_installed_package(root: Path) -> None:
    install(root, copy=True)
    spec = importlib.util.spec_from_file_location("copied", place(root) / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "LatentFitDecode" in module.NODE_DISPLAY_NAME_MAPPINGS


def test_a_base_directory_will_do(tmp_path: Path) -> None:
    for name in ("custom_nodes", "models", "input", "output"):
        (tmp_path / name).mkdir()
    install(tmp_path)
    assert place(tmp_path).is_symlink()


@pytest.mark.parametrize("there", ["nothing", "a file", "an empty folder", "the portable one"])
def test_a_folder_that_is_no_comfyui_is_refused(tmp_path: Path, root: Path, there: str) -> None:
    folder = {"nothing": tmp_path / "gone", "a file": root / "main.py", "the portable one": tmp_path}.get(there)
    if folder is None:
        folder = tmp_path / "empty"
        folder.mkdir()
    hint = f"did you mean {root}" if there == "the portable one" else "expected a folder with main.py"
    for action in (install, uninstall):
        with pytest.raises(ComfyUiError, match=hint):
            action(folder)


@pytest.mark.parametrize("theirs", ["folder", "file", "link"])
def test_what_is_not_ours_is_left_alone(root: Path, theirs: str) -> None:
    if theirs == "folder":
        place(root).mkdir()
        (place(root) / "__init__.py").write_text("somebody's")
    elif theirs == "file":
        place(root).write_text("somebody's")
    else:
        place(root).symlink_to(root)
    for action in (install, uninstall):
        with pytest.raises(ComfyUiError, match="something else is called so"):
            action(root)
    assert os.path.lexists(place(root))


def test_a_broken_link_of_ours_is_made_anew(root: Path) -> None:
    place(root).symlink_to(root / "old" / "latentfit" / "comfyui")
    assert "in place of a link" in install(root)
    assert place(root).resolve() == PACK


def test_a_copy_that_fails_leaves_what_was_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(root)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(OSError, match="No space"):
        install(root, copy=True)
    assert place(root).resolve() == PACK
    assert [path.name for path in (root / "custom_nodes").iterdir()] == [NAME]


def test_a_rename_that_fails_is_undone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(root, copy=True)
    original = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.is_symlink():
            raise PermissionError(13, "in use")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(PermissionError):
        install(root)
    assert (place(root) / "__init__.py").is_file()
    assert [path.name for path in (root / "custom_nodes").iterdir()] == [NAME]


def test_where_links_cannot_be_made_a_copy_is_offered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **named: object) -> None:
        raise OSError(1, "a privilege is missing")

    monkeypatch.setattr(Path, "symlink_to", forbidden)
    with pytest.raises(ComfyUiError, match="use --copy"):
        install(root)
    assert list((root / "custom_nodes").iterdir()) == []


def test_unfinished_folders_have_a_name_that_comfyui_passes_over() -> None:
    assert installing._UNFINISHED.endswith(".disabled")


def test_the_command(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comfyui", "install", str(root), "--copy"]) == 0
    assert "copied from" in capsys.readouterr().out
    assert main(["comfyui", "uninstall", str(root)]) == 0
    assert main(["comfyui", "install", str(tmp_path / "gone")]) == 2
    assert "latentfit: " in capsys.readouterr().err
