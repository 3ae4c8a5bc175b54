import numpy as np
import pytest
from scipy import ndimage

from napari_hypermol.errors import RunFolderError
from napari_hypermol.runs.state_axes import StateAxis
from napari_hypermol.runs.suggest import _regions, state_statistics, suggest_components
from napari_hypermol.synthetic.pretzel import pretzel

BOX = 48
DETAIL = 3.5  # [voxels]


class PretzelMaps:
    """What a generic run of the pretzel would find: two states of one component, and noise."""

    axes = (StateAxis("tau1", "whole"), StateAxis("tau2", "whole"))

    def __init__(self, noise=0.0):
        self.body, self.arm_a, self.arm_b = pretzel(BOX).components
        self.rng = np.random.default_rng(5)
        self.noise = noise

    def volume(self, states):
        found = self.body.volume(0.5, BOX)
        found = found + self.arm_a.volume(states[0], BOX) + self.arm_b.volume(states[1], BOX)
        noise = ndimage.gaussian_filter(self.rng.normal(size=found.shape), 1.0)
        return (found + self.noise * noise / noise.std()).astype(np.float32)

    def share_of(self, component, inside):
        """Share of a component's density, over all its states, that lies inside."""
        swept = sum(component.volume(t, BOX) for t in np.linspace(0, 1, 5))
        return float(swept[inside].sum() / swept.sum())


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_both_arms_of_the_pretzel_and_not_its_body(noise):
    maps = PretzelMaps(noise)
    labels, names = suggest_components(maps, DETAIL)
    assert names == {1: "body", 2: "moving_1", 3: "moving_2"}
    arms = {
        number: max((maps.arm_a, maps.arm_b), key=lambda a: maps.share_of(a, labels == number))
        for number in (2, 3)
    }
    assert arms[2] is not arms[3]
    for number, arm in arms.items():
        assert maps.share_of(arm, labels == number) > 0.75
        assert maps.share_of(maps.body, labels == number) < 0.2
    assert maps.share_of(maps.body, labels == 1) > 0.6


@pytest.mark.parametrize(("distance", "n"), [(6, 1), (10, 2), (13, 2)])
def test_peaks_are_regions_where_the_pass_between_them_is_low(distance, n):
    """Two hills of width 3: at 6 voxels one, at 10 two that touch, at 13 two by themselves."""
    grid = np.indices((40, 30, 30)).T.astype(float)
    hills = [
        np.exp(-0.5 * ((grid - (15 + side, 15, 15)) ** 2).sum(axis=-1) / 9.0)
        for side in (0, distance)
    ]
    height = np.asarray(hills[0] + 0.9 * hills[1], dtype=np.float32)
    height /= height.max()
    regions = _regions(height)
    assert set(np.unique(regions)) == set(range(n + 1))
    np.testing.assert_array_equal(regions > 0, height > 0.35)
    assert (regions[15, 15, 15] == regions[15, 15, 15 + distance]) == (n == 1)
    nearer = np.where(hills[0] > hills[1], regions[15, 15, 15], regions[15, 15, 15 + distance])
    assert (regions == nearer)[regions > 0].mean() > 0.95


@pytest.mark.parametrize("detail", [3.5, 8.0, 10.0])
def test_fringes_as_fine_as_the_maps_are_one_region(detail):
    """Few functions of the state draw a swing as fringes; how far apart says the band limit."""
    x = np.arange(64) - 32.0
    hill = np.exp(-0.5 * (x / 12) ** 2)
    fringes = hill * (1 + np.cos(2 * np.pi * x / detail))
    density = hill[:, None, None] * hill[:, None] * hill
    change = hill[:, None, None] * hill[:, None] * fringes
    maps = Blobs((1, 1, 1), (0, 0, 0))
    maps.still, maps.change = density, change
    _, names = suggest_components(maps, detail)
    assert [name for name in names.values() if name != "body"] == ["moving_1"]
    assert (len(suggest_components(maps, DETAIL).names) > 2) == (detail > DETAIL)


class Blobs:
    """Balls of density 1 in a row, the first in the middle; states change each by its share."""

    axes = (StateAxis("tau1", "whole"),)

    def __init__(self, radii, changes):
        grid = np.indices((40, 40, 40)).T - 20.0
        places = [(0, 0, 0), (13, 0, 0), (-13, 0, 0)]
        inside = [np.linalg.norm(grid - p, axis=-1) < r for p, r in zip(places, radii, strict=True)]
        self.still = np.sum(inside, axis=0).astype(np.float32)
        self.change = np.einsum("i,izyx->zyx", changes, np.array(inside, dtype=np.float32))

    def volume(self, states):
        return self.still + np.float32(states[0] - 0.5) * self.change


def test_what_the_others_move_against_is_no_part():
    """Without known poses the body may seem to move as well, against its arms."""
    labels, names = suggest_components(Blobs((7, 4, 4), (0.8, 1.0, 1.0)), DETAIL)
    assert names == {1: "body", 2: "moving_1", 3: "moving_2"}
    assert labels[20, 20, 20] == 1
    assert {labels[20, 20, 33], labels[20, 20, 7]} == {2, 3}


@pytest.mark.parametrize(
    ("radii", "changes"), [((4, 4, 4), (1, 1, 1)), ((6, 5, 4), (0, 1, 1)), ((7, 4, 4), (1, 0, 0))]
)
def test_parts_of_like_mass_and_a_lone_one_stay(radii, changes):
    """The heavier of two lobes on a still middle is a part too, and so is all that moves."""
    _, names = suggest_components(Blobs(radii, changes), DETAIL)
    assert sum(name.startswith("moving") for name in names.values()) == np.count_nonzero(changes)


def test_statistics_are_those_of_all_states():
    maps = PretzelMaps()
    mean, deviation = state_statistics(maps)
    states = [(a, b) for a in np.linspace(0, 1, 5) for b in np.linspace(0, 1, 5)]
    volumes = np.stack([maps.volume(state) for state in states])
    np.testing.assert_allclose(mean, volumes.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(deviation, volumes.std(axis=0), atol=1e-4)


def test_nothing_to_suggest():
    class Still(PretzelMaps):
        def volume(self, states):
            return self.body.volume(0.5, BOX)

    with pytest.raises(RunFolderError, match="look the same"):
        suggest_components(Still(), DETAIL)
    rigid = Still()
    rigid.axes = ()
    with pytest.raises(RunFolderError, match="rigid"):
        suggest_components(rigid, DETAIL)
