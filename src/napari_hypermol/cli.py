"""The ``hypermol`` command; the same functions as the widgets, without Qt.

Anything wrong with the input ends in one sentence on stderr and exit code 2.
"""

import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_hypermol import __version__
from napari_hypermol.errors import HypermolError, OutputExistsError, RunCancelled

__all__ = ["app", "main"]

app = typer.Typer(
    help="Recover molecules that move from cryo-EM particle images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder to look in first for the image stacks.")]
PixelSize = Annotated[
    float | None, typer.Option(help="Å per pixel, instead of what the file says.")
]

_INTERRUPTED = 128 + 2  # the shells' exit code after SIGINT
_HEEDED = 5.0  # [s] that a request is waited for: a run heeds it at its next report


def main() -> None:
    """Run the command line; the entry point."""
    from napari_hypermol.runs.freed_memory import keep_freed_memory

    warnings.showwarning = _show_warning
    keep_freed_memory()
    try:
        code = app(standalone_mode=False)  # some releases of Typer return 130 after Ctrl-C
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            sys.exit(code)
    except HypermolError as problem:
        _fail(str(problem))
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("stopped; what was computed so far is kept", err=True)
        sys.exit(_INTERRUPTED)
    except typer.Exit as leaving:
        sys.exit(leaving.exit_code)
    except BrokenPipeError:  # the reader of our output went away, as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as problem:  # a full disk, a folder that cannot be written to
        where = "" if problem.filename is None else f"{problem.filename}: "
        _fail(f"{where}{problem.strerror or problem}; check the path, its owner and the disk")
    except Exception as problem:
        # click's own usage errors: one sentence as well
        message = getattr(problem, "format_message", None)
        if message is None:
            raise
        _fail(f"{message().rstrip('.')}; see --help")


def _fail(sentence: str) -> None:
    typer.echo(f"hypermol: {sentence}", err=True)
    sys.exit(2)


def _show_warning(message: Any, *_: Any, **__: Any) -> None:
    typer.echo(f"hypermol: note: {message}", err=True)


def _progress_bar() -> tuple[Callable[[Any], None], Callable[[], None]]:
    """A bar with the time left, and how to close it."""
    from tqdm import tqdm

    layout = "{percentage:3.0f}% |{bar:30}| {elapsed}{postfix}"
    bars: list[Any] = []  # made at the first report: bad input shows no bar

    def on_progress(progress: Any) -> None:
        if not bars:
            bars.append(tqdm(total=1.0, bar_format=layout, file=sys.stderr, dynamic_ncols=True))
        left = progress.seconds_left
        remaining = "" if left is None else f"{int(left) // 60:02d}:{int(left) % 60:02d} left, "
        bars[0].n = progress.fraction
        bars[0].set_postfix_str(remaining + progress.message, refresh=True)

    def close() -> None:
        for bar in bars:
            bar.close()

    return on_progress, close


def _tell_line(progress: Any) -> None:
    """A report as a line of JSON, for a program that started us."""
    report = {
        "fraction": progress.fraction,
        "seconds_left": progress.seconds_left,
        "message": progress.message,
    }
    typer.echo(json.dumps(report))


def _reconstruct(job: Any, as_lines: bool = False) -> Any:
    """Reconstruct and show how far it is; a signal or a request leaves a usable folder."""
    from napari_hypermol.runs.control import Control
    from napari_hypermol.runs.reconstruct import reconstruct
    from napari_hypermol.runs.signals import leave, stopping_on_signals

    control = Control()
    on_progress, close = (_tell_line, lambda: None) if as_lines else _progress_bar()
    with stopping_on_signals(control) as exit_code:
        try:
            return reconstruct(job, on_progress, control)
        except RunCancelled:
            close()
            leave(exit_code())
        finally:
            close()


@app.callback(invoke_without_command=True)
def _version(
    show: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit()


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to make.")] = Path("hypermol-demo"),
    view: Annotated[bool, typer.Option(help="Open the result in napari.")] = True,
    n: Annotated[int, typer.Option("--n", help="Particles.")] = 4000,
    seed: int = 0,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a pretzel, recover it, score it, make a picture (and open napari)."""
    from napari_hypermol.runs.demo import demo_picture
    from napari_hypermol.runs.job import Job
    from napari_hypermol.runs.score import score
    from napari_hypermol.runs.truth import read_truth
    from napari_hypermol.synthetic.simulate import Simulation, simulate

    _clear_demo(out, overwrite)
    typer.echo(f"simulating {n} particles of the pretzel, SNR 1/30 ...")
    plan = Simulation("pretzel", n=n, snr=1 / 30, seed=seed)
    particles = simulate(plan, out / "data")
    typer.echo("recovering the molecule and every particle's two states ...")
    run = _reconstruct(Job(particles, out / "run", out / "data" / "recipe.yaml", seed=seed))
    truth = read_truth(out / "data" / "truth.star")
    result = score(run, truth)
    (out / "score.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    picture = out / "demo.png"
    demo_picture(run, truth, result, picture)
    _tell_demo(result, out)
    if view:
        _view(run.path)


def _clear_demo(out: Path, overwrite: bool) -> None:
    """Make room for a demo; only what a demo wrote is ever removed."""
    if not out.exists() or not any(out.iterdir()):
        return
    is_demo = (out / "data" / "truth.star").is_file()
    if not (overwrite and is_demo):
        raise OutputExistsError(
            f"{out}: exists already; choose another --out"
            + (", or --overwrite to make the demo again" if is_demo else "")
        )
    for name in ("data", "run"):
        shutil.rmtree(out / name, ignore_errors=True)


def _tell_demo(result: dict[str, Any], out: Path) -> None:
    for entry, maps in zip(result["states"], result["maps"], strict=True):
        typer.echo(
            f"{maps['component']}: state Spearman {entry['spearman']:.3f} (the best possible on "
            f"these images, knowing the molecule: {entry['oracle']:.3f}); "
            f"motion of the map {maps['difference_correlation']:.3f}"
        )
    typer.echo(f"recovered in {result['seconds']:.0f} s; picture: {out / 'demo.png'}")
    typer.echo(f"open it again: napari {out / 'run'} --plugin napari-hypermol")


def _view(path: Path) -> None:
    """Open a run in napari where there is a screen, in a process of its own."""
    import importlib.util
    import subprocess

    has_screen = sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if not has_screen:
        typer.echo("no screen here, so napari is not opened")
        return
    if importlib.util.find_spec("napari") is None:
        typer.echo(
            "napari is not installed here; pip install 'napari-hypermol[all]' to see the run"
        )
        return
    command = [sys.executable, "-m", "napari_hypermol.plugin.show", str(path)]
    subprocess.run(command, check=False)


@app.command()
def simulate(
    molecule: Annotated[
        str,
        typer.Argument(
            help="cat, hinge, kinase, pretzel, wheel, clam, classes, or an .mrc map (rigid)."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    n: Annotated[int, typer.Option("--n", help="Particles.")] = 4000,
    box: Annotated[
        int | None, typer.Option(help="Pixels along an edge; without: 64, or the map's.")
    ] = None,
    pixel_size: Annotated[float | None, typer.Option(help="Å; without: 3, or the map's.")] = None,
    snr: Annotated[float, typer.Option(help="Variance of signal over that of noise.")] = 0.1,
    shift_std: Annotated[float, typer.Option(help="Pixels.")] = 2.0,
    contrast_std: Annotated[float, typer.Option(help="Spread of contrasts about 1.")] = 0.1,
    occupancy: Annotated[
        str, typer.Option(help="Of continuous states: uniform, or bimodal (mostly near the ends).")
    ] = "uniform",
    pose_error: Annotated[
        float, typer.Option(help="Root mean square angle of the rotations' errors, degrees.")
    ] = 0.0,
    shift_error: Annotated[
        float, typer.Option(help="Error of each coordinate of the shifts, pixels.")
    ] = 0.0,
    no_poses: Annotated[
        bool, typer.Option("--no-poses", help="Leave angles and origins out of the particle file.")
    ] = False,
    seed: int = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write particles, their truth and a recipe for a toy molecule, or for a map."""
    from napari_hypermol.synthetic.simulate import Simulation, own_box
    from napari_hypermol.synthetic.simulate import simulate as run

    own_size, own_pixel = own_box(molecule)
    edge = own_pixel if pixel_size is None else pixel_size
    if edge is None:
        raise HypermolError(f"{molecule}: does not say its pixel size; give it with --pixel-size")
    plan = Simulation(
        molecule, n, own_size if box is None else box, edge,
        snr, shift_std, contrast_std, seed, occupancy,
        pose_error, shift_error, "none" if no_poses else "true",
    )  # fmt: skip
    typer.echo(f"wrote {run(plan, out, overwrite)}")


@app.command()
def reconstruct(
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    particles: Annotated[
        Path | None, typer.Argument(help="STAR or .cs file; without: the recipe's, or the run's.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="YAML; without: one ball, one state.")] = None,
    device: Annotated[
        str, typer.Option(help="auto (a GPU where there is one), cpu or cuda")
    ] = "auto",
    scheduler: Annotated[
        str | None,
        typer.Option(help="local:N processes, slurm:N jobs, or a Dask scheduler's address."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    keep_every: Annotated[
        float, typer.Option(min=0, help="Seconds between two writings of where the run stands.")
    ] = 60.0,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    data_dir: DataDir = None,
    pixel_size: PixelSize = None,
    overwrite: Overwrite = False,
    lines: Annotated[
        bool, typer.Option("--lines", help="Progress as lines of JSON on stdout, for programs.")
    ] = False,
) -> None:
    """Recover a hypermolecule and every particle's states; write a run folder."""
    from napari_hypermol.runs.job import Job
    from napari_hypermol.runs.unknowns import unknowns_sentences

    job = Job(
        particles,
        out,
        recipe,
        data_dir,
        pixel_size,
        seed,
        device,
        scheduler,
        overwrite,
        resume,
        keep_every,
    )
    run = _reconstruct(job, lines)
    if lines:
        return
    asked = unknowns_sentences(run.metrics["unknowns"])
    typer.echo(f"done in {run.metrics['seconds']:.0f} s, {asked[0]}: {run.path}")
    typer.echo(f"look: napari {run.path} --plugin napari-hypermol, or {run.path / 'report.html'}")


@app.command()
def pause(run: Annotated[Path, typer.Argument(help="Folder of a run that is at work.")]) -> None:
    """Let a run wait, on whatever machine it is, until it is told to continue or to stop."""
    _ask(run, "pause", ("paused",))


@app.command("continue")
def continue_(run: Annotated[Path, typer.Argument(help="Folder of a paused run.")]) -> None:
    """Let a paused run go on where it stood."""
    _ask(run, "continue", ("running", "reading"))


@app.command()
def stop(run: Annotated[Path, typer.Argument(help="Folder of a run that is at work.")]) -> None:
    """Stop a run, on whatever machine it is; what is done is kept, --resume goes on from there."""
    _ask(run, "stop", ("stopped",))


def _ask(run: Path, wish: str, phases: tuple[str, ...]) -> None:
    """Ask a run through its folder, wait a little for it, say what it does now."""
    from napari_hypermol.runs.requests import ask
    from napari_hypermol.runs.status import read_status, status_sentence

    status: Any = ask(run, wish)
    until = time.monotonic() + _HEEDED
    while status.phase not in phases and not status.is_over and time.monotonic() < until:
        time.sleep(0.1)
        status = read_status(run) or status
    if status.phase in phases or status.is_over:
        typer.echo(f"{run}: {status_sentence(status)}")
    else:
        typer.echo(f"{run}: asked to {wish}; it will at its next report")


@app.command()
def suggest(
    run: Annotated[Path, typer.Argument(help="Folder of a run of one component with a state.")],
    out: Annotated[Path, typer.Option(help="Folder for the recipe and its masks.")],
    overwrite: Overwrite = False,
) -> None:
    """Write the recipe of what moves against the rest, to be run next."""
    from napari_hypermol.runs.store import Run
    from napari_hypermol.runs.suggested_recipe import write_suggestion

    parts = write_suggestion(Run.open(run), out, overwrite)
    typer.echo(f"{len(parts)} part(s) move: {', '.join(parts)}; look at their masks in {out}")
    typer.echo(
        f"next: hypermol reconstruct {run / 'particles.star'} --recipe {out / 'recipe.yaml'} "
        "--out FOLDER"
    )


@app.command()
def volumes(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the maps.")],
    states: Annotated[
        list[str] | None, typer.Option(help='One state, such as "0.1,0.5"; give it again for more.')
    ] = None,
    steps: Annotated[int, typer.Option(help="Maps along every state.")] = 10,
    overwrite: Overwrite = False,
) -> None:
    """Write maps as an MRC series with a ChimeraX script."""
    from napari_hypermol.runs.series import parse_states, write_run_volumes, write_series
    from napari_hypermol.runs.store import Run

    opened = Run.open(run)
    maps, size = opened.maps, opened.pixel_size
    if states:
        chosen = [parse_states(text, maps.dims) for text in states]
        paths = write_series(maps, chosen, size, out, "state", overwrite)
    else:
        paths = write_run_volumes(maps, size, out, steps, overwrite)
    typer.echo(f"wrote {len(paths)} maps to {out}")


@app.command()
def score(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    truth: Annotated[Path, typer.Argument(help="truth.star of a simulation.")],
    truth_maps: Annotated[Path | None, typer.Option(help="Folder of the true maps.")] = None,
) -> None:
    """Compare a run with a simulation's truth, and with the best the data allow (JSON)."""
    from napari_hypermol.runs.score import score as compare
    from napari_hypermol.runs.store import Run
    from napari_hypermol.runs.truth import read_truth

    typer.echo(json.dumps(compare(Run.open(run), read_truth(truth, truth_maps)), indent=1))


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="Run folder.")],
    run_b: Annotated[Path, typer.Argument(help="Run folder of the same particles.")],
    as_json: Annotated[bool, typer.Option("--json", help="All numbers, as JSON.")] = False,
) -> None:
    """Rank two runs' recipes by how well they predict particles they have not seen."""
    from napari_hypermol.runs.compare import compare as run
    from napari_hypermol.runs.compare import comparison_lines
    from napari_hypermol.runs.store import Run

    on_progress, close = _progress_bar()
    try:
        result = run(Run.open(run_a), Run.open(run_b), on_progress)
    finally:
        close()
    lines = [json.dumps(result, indent=1)] if as_json else comparison_lines(result)
    for line in lines:
        typer.echo(line)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help=".star or .cs file to write.")],
    where: Annotated[
        str | None, typer.Option(help='Which particles, such as "state1 < 0.3"; default: all.')
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a subset of the particles, original rows, columns and optics kept."""
    import numpy as np

    from napari_hypermol.runs.selection import export_particles, select
    from napari_hypermol.runs.store import Run

    opened = Run.open(run)
    rows = np.arange(len(opened.contrasts)) if where is None else select(opened, where)
    if not len(rows):
        raise HypermolError(f"--where {where!r}: no particle fulfils it; nothing was written")
    export_particles(opened.read_particles(), out, rows, opened, overwrite)
    typer.echo(f"wrote {len(rows):,} of {len(opened.contrasts):,} particles to {out}")


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="STAR, .cs, MRC, recipe or run folder.")],
    data_dir: DataDir = None,
    pixel_size: PixelSize = None,
) -> None:
    """Say what is in a file or a run."""
    from napari_hypermol.runs.describe import describe

    for line in describe(path, data_dir, pixel_size):
        typer.echo(line)


if __name__ == "__main__":
    main()
