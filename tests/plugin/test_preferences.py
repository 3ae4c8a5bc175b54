"""The settings that the manifest declares."""

import pytest

from napari_hypermol.plugin.preferences import Preferences, preferences, remember_closing


def test_defaults_are_those_of_the_manifest(plugin_settings, npe2pm):
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-hypermol")
    with npe2pm.tmp_plugin(manifest=manifest):
        assert preferences() == Preferences()


def test_settings_are_followed(plugin_settings, npe2pm):
    from napari.settings import get_plugin_settings
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-hypermol")
    with npe2pm.tmp_plugin(manifest=manifest):
        view = get_plugin_settings("napari-hypermol").view
        view.state_steps = 7
        view.chimerax_handedness = False
        assert preferences() == Preferences(7, False)
        remember_closing("leave")
        assert preferences().closing == "leave"
        with pytest.raises(ValueError, match="less than or equal"):
            view.state_steps = 1000


def test_defaults_without_plugin_settings(npe2pm):
    assert preferences() == Preferences()
    remember_closing("stop")
    assert preferences().closing == "ask"
