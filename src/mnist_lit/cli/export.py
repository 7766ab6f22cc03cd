"""`export`: a checkpoint in the formats of others."""

from pathlib import Path
from typing import Any

from mnist_lit import environment
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.cli import options
from mnist_lit.cli.parser import Parser
from mnist_lit.data import datasets
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import InputError, printable
from mnist_lit.formats.export import FORMATS, export_checkpoint
from mnist_lit.runs import finding


def command(args: list[str]) -> int:
    """Export the checkpoint that the options name; print the certificate as a table."""
    environment.quiet()
    parser = Parser.of("export")
    options.add_checkpoint(parser, or_pretrained=True)
    options.add_runs(parser)
    parser.add_argument("--format", nargs="+", type=str, help=f"some of {', '.join(FORMATS)}")
    parser.add_argument(
        "--output", type=str, default=".", metavar="DIR", help="the folder to write to"
    )
    parser.add_data()
    given = parser.parse_args(args)
    if not given.format:
        raise InputError("--format", "is missing", f"give some of {', '.join(FORMATS)}")
    output = options.output_folder(given.output)
    path = finding.find_checkpoint(given.ckpt_path, Path(given.runs), or_pretrained=True)
    data = None
    if explicit := parser.given_data(args):
        data = MNISTDataModule(**datasets.options_of(checkpoints.read(path), explicit))
    _print(export_checkpoint(path, given.format, output, data=data), output, given.format)
    return 0


def _print(certificate: dict[str, Any], output: Path, formats: list[str]) -> None:
    """Print the certificate's entries of the files that were written now."""
    print(
        printable(
            f"{certificate['checkpoint']} -> {output}, compared on {certificate['n']:,} images "
            f"({certificate['dataset']})"
        )
    )
    print(
        f"{'':<18}{'max |Δ|':>9}{'differing':>10}{'accuracy':>10}{'bytes':>11}  "
        f"{'sha256':<12}  verified by"
    )
    for name in dict.fromkeys(f"mnist.{name}" for name in formats):
        row = certificate["files"][name]
        accuracy = f"{row['accuracy']:.4f}" if "accuracy" in row else "-"
        print(
            f"{name:<18}{row['max_difference']:>9.1e}{row['classes_differing']:>10}{accuracy:>10}"
            f"{row['bytes']:>11,}  {row['sha256'][:12]}  {row['verified_by']}"
        )
    if certificate["accuracy_left_out"]:
        print(printable(f"without accuracies: {certificate['accuracy_left_out']}"))
