"""RELION's CTF in its own form: a quadratic form in (x, y), not an angle-dependent defocus."""

import math

# kV: wavelength [Å], from the relativistic formula with RELION's constants.
WAVELENGTHS = {
    100: 0.0370145785978,
    120: 0.0334923475882,
    200: 0.025079493567,
    300: 0.0196876153092,
}

# (kV, Cs [mm], Q0, defocus u, v [Å], angle, phase shift [degrees], B [Å^2]), {(x, y) [1/Å]: CTF}.
# Computed once from RELION's formula with a program of its own.
TABLE = [
    (
        (300, 2.7, 0.07, 15301.1, 14916.4, 5.28, 0, 0),
        {
            (0, 0): 0.07,
            (0.02, 0.01): 0.515506604498,
            (0.05, 0): 0.650400343691,
            (0, 0.05): 0.693682109239,
            (0.1, -0.07): 0.982744791047,
            (0.2, 0.15): 0.840312624065,
        },
    ),
    (
        (300, 2.7, 0.1, 20000, 18000, 30, 0, 0),
        {
            (0.02, 0.01): 0.658157716315,
            (0.05, 0): 0.0282339370555,
            (0.1, -0.07): -0.945146142725,
        },
    ),
    (
        (200, 1.4, 0.1, 12000, 12000, 0, 90, 80),
        {(0, 0): 0.994987437107, (0.02, 0.01): 0.832015054073, (0.05, 0): -0.739705807155},
    ),
]


def relion_ctf(microscope, x: float, y: float) -> float:
    """-sin(gamma) exp(-B u^2 / 4); Cs in mm, angles in degrees, as RELION's files have them."""
    kv, cs, q0, defocus_u, defocus_v, angle, phase, b_factor = microscope
    volts, cs = 1000.0 * kv, 1e7 * cs
    wavelength = 12.2643247 / math.sqrt(volts * (1.0 + volts * 0.978466e-6))
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    # Rotate(-angle) . diag(-u, -v) . Rotate(angle)
    axx = -defocus_u * c * c - defocus_v * s * s
    ayy = -defocus_u * s * s - defocus_v * c * c
    axy = -(defocus_u - defocus_v) * s * c
    square = x * x + y * y
    gamma = math.pi * wavelength * (axx * x * x + 2 * axy * x * y + ayy * y * y)
    gamma += 0.5 * math.pi * cs * wavelength**3 * square**2
    gamma -= math.radians(phase) + math.atan(q0 / math.sqrt(1 - q0 * q0))
    return -math.sin(gamma) * math.exp(-b_factor * square / 4)
