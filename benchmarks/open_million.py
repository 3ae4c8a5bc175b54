"""Open a million particles of 128 px: seconds and resident memory.

python benchmarks/open_million.py [folder] [n]

Writes a RELION 3.1 file of 25 columns and sparse stacks (no disk is used for pixels) into
`folder`, opens it in a fresh process, reads one chunk, writes the file again with new poses.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BOX, PER_STACK = 128, 1000
COLUMNS = (  # noqa: SIM905
    "CoordinateX CoordinateY ImageName MicrographName CtfMaxResolution CtfFigureOfMerit DefocusU "
    "DefocusV DefocusAngle CtfBfactor CtfScalefactor PhaseShift AngleRot AngleTilt AnglePsi "
    "ClassNumber NormCorrection RandomSubset LogLikeliContribution MaxValueProbDistribution "
    "NrOfSignificantSamples OpticsGroup OriginXAngst OriginYAngst GroupNumber"
).split()
OPTICS = """
# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnAmplitudeContrast #3
_rlnSphericalAberration #4
_rlnVoltage #5
_rlnImagePixelSize #6
_rlnImageSize #7
_rlnImageDimensionality #8
1 opticsGroup1 0.100000 2.700000 300.000000 1.403000 128 2


# version 30001

data_particles

loop_
"""


def generate(folder, n):
    from napari_hypermol.io import write_stack

    write_stack(folder / "one.mrcs", np.zeros((1, BOX, BOX), np.float32), 1.403)
    header = bytearray((folder / "one.mrcs").read_bytes()[:1024])
    header[8:12] = header[36:40] = np.int32(PER_STACK).tobytes()
    for s in range(-(-n // PER_STACK)):
        with (folder / f"stack{s:05d}.mrcs").open("wb") as file:
            file.write(header)
            file.truncate(1024 + 4 * BOX * BOX * PER_STACK)
    rng = np.random.default_rng(0)
    row = (
        "{0:12.6f} {1:12.6f} {i:06d}@stack{s:05d}.mrcs MotionCorr/job002/Movies/FoilHole_{s:08d}"
        "_Data_10985376_20180810.mrc     4.545000     0.089249 {2:12.6f} {3:12.6f} {4:12.6f}     "
        "0.000000     1.000000     0.000000 {5:12.6f} {6:12.6f} {7:12.6f}            1 {8:12.6f}"
        "            {h} {9:12.6e} {10:12.6f}          450            1 {11:12.6f} {12:12.6f}"
        "            1 \n"
    )
    with (folder / "particles.star").open("w") as file:
        file.write(OPTICS)
        file.writelines(f"_rln{name} #{j} \n" for j, name in enumerate(COLUMNS, start=1))
        for start in range(0, n, 10_000):
            values = rng.uniform(0, 179, size=(min(10_000, n - start), 13))
            file.writelines(
                row.format(*v, i=k % PER_STACK + 1, s=k // PER_STACK, h=k % 2 + 1)
                for k, v in enumerate(values.tolist(), start=start)
            )


def report(what, since):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what}: {time.perf_counter() - since:.1f} s, peak {peak:.2f} GiB resident", flush=True)


def measure(folder):
    from napari_hypermol.io import read_particles

    start = time.perf_counter()
    report("imported", start)
    opened = read_particles(folder / "particles.star")
    report(f"opened {opened.particles.images.shape}", start)
    start = time.perf_counter()
    opened.particles.images[:1000].compute()
    report("first 1000 images", start)
    start = time.perf_counter()
    poses = opened.pose_columns(opened.particles.rotations, opened.particles.shifts)
    opened.write(folder / "again.star", poses, overwrite=True)
    report("written again", start)


def main():
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
        return
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        generate(Path(folder), n)
        size = (Path(folder) / "particles.star").stat().st_size / 2**20
        print(f"{n} particles, {len(COLUMNS)} columns, {size:.0f} MiB of text")
        subprocess.run([sys.executable, __file__, "--measure", folder], check=True)


if __name__ == "__main__":
    main()
