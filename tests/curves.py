"""Points along curves, in noise: what particles look like in their linear coordinates."""

import numpy as np

# Of a closed curve; the third is the strongest: the curve crosses its own shadow.
HARMONICS = np.array([0.8, 0.6, 1.4])


def circular_correlation(found, true):
    """1 where they are the same up to a rotation and a direction, about n^-1/2 by chance."""
    same, opposite = (abs(np.exp(2j * np.pi * (found - way * true)).mean()) for way in (1, -1))
    return max(same, opposite)


def in_noise(rng, places, dims, noise):
    """Places (n, k) turned at random into `dims` dimensions, each off by `noise`."""
    k = places.shape[1]
    axes = np.linalg.qr(rng.normal(size=(dims, dims)))[0][:, :k]
    return places @ axes.T + noise * rng.normal(size=(len(places), dims))


def closed_curve(rng, n, dims, noise):
    """True angles [turns] and points (n, dims) along three harmonics, turned at random.

    From a noise of 0.3 on passes of the curve run into one another and the order is lost.
    """
    true = rng.random(n)
    waves = [
        part(2 * np.pi * q * true) * size
        for q, size in enumerate(HARMONICS, 1)
        for part in (np.cos, np.sin)
    ]
    return true, in_noise(rng, np.stack(waves, axis=1), dims, noise)


def plain_circle(true):
    """Angles [turns] to places (n, 2) in the plane, radius 1."""
    return np.stack([np.cos(2 * np.pi * true), np.sin(2 * np.pi * true)], axis=1)


def arc(true):
    """A third of a circle of radius 3: the ends of a swing."""
    angle = 2 * np.pi / 3 * true
    return 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def letter_v(true):
    """Down one arm of length 4 and up the other, 30 degrees apart: ends 2 from one another."""
    along = 4 * abs(2 * true - 1)
    side = np.sign(2 * true - 1)
    half = np.radians(15)
    return np.stack([along * np.cos(half), side * along * np.sin(half)], axis=1)


def three_cosines(true):
    """cos(pi q t) for q of 1 to 3, the third strongest: it crosses itself in its first two axes.

    What a swing looks like whose linear motions are cosines of its state.
    """
    sizes = np.array([0.9, 0.8, 1.4])
    return np.stack([s * np.cos(np.pi * q * true) for q, s in enumerate(sizes, 1)], axis=1)


OPEN_CURVES = {"arc": arc, "V": letter_v, "three cosines": three_cosines}


def open_curve(name, rng, n, dims, noise):
    """True places in [0, 1] and points (n, dims) along one of `OPEN_CURVES`, turned at random."""
    true = rng.random(n)
    return true, in_noise(rng, OPEN_CURVES[name](true), dims, noise)


def ball(rng, n, dims):
    """Points (n, dims) evenly in a ball of radius 1: they have no order."""
    points = rng.normal(size=(n, dims))
    return points / np.linalg.norm(points, axis=1)[:, None] * rng.random((n, 1)) ** (1 / dims)


def walk_length(points, values):
    """Mean step from point to point in the order of their values, relative to random steps.

    Small where they follow a curve, 1 where the values say nothing.
    """
    walked = points[np.argsort(values)]
    steps = np.linalg.norm(np.diff(walked, axis=0), axis=1)
    random = np.linalg.norm(points - np.roll(points, len(points) // 2, axis=0), axis=1)
    return steps.mean() / random.mean()
