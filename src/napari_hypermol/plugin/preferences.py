"""What the user set under Preferences, Plugins; the manifest declares it, napari stores it."""

from typing import NamedTuple

from napari_hypermol.plugin.lazy_states import STATE_STEPS

__all__ = ["Preferences", "preferences", "remember_closing"]


class Preferences(NamedTuple):
    """Settings of the plugin, as the manifest's ``configurations`` has them.

    Attributes
    ----------
    state_steps : int
        Stops of each state's slider.
    is_chimerax_handed : bool
        Whether what we open is shown with the handedness of ChimeraX.
    closing : {'ask', 'stop', 'leave'}
        What becomes of a run of this window when it is closed.
    """

    state_steps: int = STATE_STEPS
    is_chimerax_handed: bool = True
    closing: str = "ask"


def preferences() -> Preferences:
    """The settings now; the defaults where napari is too old to have settings for plugins."""
    try:
        from napari.settings import get_plugin_settings

        settings = get_plugin_settings("napari-hypermol")
        view, runs = settings.view, settings.runs
    except (ImportError, KeyError, AttributeError):  # napari < 0.9, or the plugin is disabled
        return Preferences()
    return Preferences(int(view.state_steps), bool(view.chimerax_handedness), str(runs.closing))


def remember_closing(choice: str) -> None:
    """Keep what the user wants to become of runs when a window is closed."""
    try:
        from napari.settings import get_plugin_settings

        get_plugin_settings("napari-hypermol").runs.closing = choice
    except (ImportError, KeyError, AttributeError):  # it is asked again next time
        return
