import pytest

from napari_hypermol.plugin.opening import open_run
from napari_hypermol.plugin.session import session_of
from napari_hypermol.plugin.widgets.studio import PAGES, open_page

pytestmark = pytest.mark.qt


def test_pages_share_the_session(make_napari_viewer_proxy, plugin):
    viewer = make_napari_viewer_proxy()
    studio = open_page(viewer, PAGES[-1].title)
    assert open_page(viewer, PAGES[0].title) is studio
    assert studio.session is session_of(viewer)
    assert {page.session for page in studio.pages.values()} == {studio.session}
    assert studio.minimumSizeHint().width() <= 420  # usable at 1280 x 800


def test_closing_lets_go(make_napari_viewer_proxy, plugin):
    viewer = make_napari_viewer_proxy()
    studio = open_page(viewer, PAGES[0].title)
    studio.close()
    assert all(page.viewer is None for page in studio.pages.values())
    viewer.dims.set_point(0, 3)  # nobody listens any more


def test_supports_are_seen_with_their_page_only(
    make_napari_viewer_proxy, plugin, run_folder, qtbot
):
    viewer = make_napari_viewer_proxy()
    studio = open_page(viewer, "Components")
    (molecule,) = open_run(viewer, run_folder)
    page = studio.pages["Components"]
    qtbot.waitUntil(lambda: studio.session.run is not None, timeout=20_000)
    if not page.components:
        studio.session.load(studio.session.run.recipe.model_dump(exclude_unset=True), run_folder)
    qtbot.waitUntil(lambda: page.balls.layer is not None, timeout=20_000)
    qtbot.waitUntil(lambda: page.supports.layer("surfaces") is not None, timeout=20_000)
    balls, surfaces = page.balls.layer, page.supports.layer("surfaces")
    assert balls.visible
    assert surfaces.visible
    page.balls.choose(page.list.current or next(iter(page.components)))
    studio.turn_to("States")
    assert not balls.visible
    assert not surfaces.visible
    assert viewer.layers.selection.active == molecule
    studio.turn_to("Components")
    assert balls.visible
    assert surfaces.visible
    page.show_supports.setChecked(False)
    balls.visible = False  # by the user, who finds it so again
    studio.turn_to("Run")
    studio.turn_to("Components")
    assert not balls.visible
    assert not surfaces.visible


@pytest.mark.parametrize("title", [page.title for page in PAGES])
def test_all_layers_can_go_whatever_is_open(
    title, make_napari_viewer_proxy, plugin, run_folder, pretzel_folder, qtbot
):
    viewer = make_napari_viewer_proxy()
    studio = open_page(viewer, "Components")
    viewer.open(pretzel_folder / "particles.star", plugin="napari-hypermol")
    open_run(viewer, run_folder)
    viewer.dims.ndisplay = 2
    page = studio.pages["Components"]
    qtbot.waitUntil(lambda: studio.session.run is not None, timeout=20_000)
    if not page.components:
        studio.session.load(studio.session.run.recipe.model_dump(exclude_unset=True), run_folder)
    qtbot.waitUntil(lambda: page.supports.layer("contours") is not None, timeout=20_000)
    studio.turn_to(title)
    came = []

    def count(event):
        came.append(event.value.name)
        if len(came) > 9:
            studio.close()  # nothing of ours brings layers any more, so that this ends

    viewer.layers.events.inserted.connect(count)
    viewer.layers.clear()
    qtbot.wait(100)
    assert came == []
    assert list(viewer.layers) == []


def test_there_is_one_studio_however_it_is_opened(make_napari_viewer_proxy, plugin):
    """By napari's menu, which names docks by what the manifest calls the plugin, or by ours."""
    viewer = make_napari_viewer_proxy()
    open_page(viewer, "States")
    open_page(viewer, "Run")
    title = next(w.display_name for w in plugin.contributions.widgets)
    assert list(viewer.window.dock_widgets) == [f"{title} ({plugin.display_name})"]
