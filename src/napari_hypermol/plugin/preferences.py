"""What the user set under Preferences, Plugins; the manifest declares it, napari stores it."""

from typing import NamedTuple

from napari_hypermol.plugin.lazy_states import STATE_STEPS

__all__ = ["Preferences", "preferences"]


class Preferences(NamedTuple):
    """Settings of the plugin, as the manifest's ``configurations`` has them.

    Attributes
    ----------
    state_steps : int
        Stops of each state's slider.
    is_chimerax_handed : bool
        Whether what we open is shown with the handedness of ChimeraX.
    """

    state_steps: int = STATE_STEPS
    is_chimerax_handed: bool = True


def preferences() -> Preferences:
    """The settings now; the defaults where napari is too old to have settings for plugins."""
    try:
        from napari.settings import get_plugin_settings

        view = get_plugin_settings("napari-hypermol").view
    except (ImportError, KeyError, AttributeError):  # napari < 0.9, or the plugin is disabled
        return Preferences()
    return Preferences(int(view.state_steps), bool(view.chimerax_handedness))
