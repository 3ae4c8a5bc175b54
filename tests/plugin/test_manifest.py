"""The manifest: valid, every command there, and one file for the package and the checkout."""

from pathlib import Path

import npe2
import pytest
from npe2 import PluginManifest
from npe2.cli import app
from typer.testing import CliRunner

import napari_hypermol

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = Path(napari_hypermol.__file__).with_name("napari.yaml")


def test_root_manifest_is_the_packaged_one():
    at_root = ROOT / "napari.yaml"
    source = ROOT / "src" / "napari_hypermol" / "napari.yaml"
    assert at_root.resolve() == source.resolve()
    assert at_root.read_bytes() == PACKAGED.read_bytes()


def test_manifest_is_valid():
    answer = CliRunner().invoke(app, ["validate", "napari-hypermol", "--imports"])
    assert answer.exit_code == 0, answer.output
    assert "valid" in answer.output


def test_every_command_is_there():
    manifest = PluginManifest.from_distribution("napari-hypermol")
    for command in manifest.contributions.commands:
        assert callable(command.python_name and npe2.manifest.utils.import_python_name(
            command.python_name
        )), command.id  # fmt: skip


def test_every_menu_can_be_contributed_to():
    from napari._app_model.constants._menus import MenuId

    manifest = PluginManifest.from_distribution("napari-hypermol")
    known = {str(menu) for menu in MenuId.contributables()}
    assert set(manifest.contributions.menus) <= known


@pytest.mark.parametrize("name", ["napari.yaml", "icon.svg", "py.typed"])
def test_data_files_are_installed(name):
    assert PACKAGED.with_name(name).is_file()
