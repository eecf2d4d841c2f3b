"""Show how far studies are: what is done, what runs and when it will be ready, what failed, and what remains.

Inputs: results/, the locks in checkpoints/ and cache/, and the studies' settings. Output: text. It changes nothing, and
asks neither Snakemake nor a scheduler, so it may be run at any time and anywhere that sees the files.

    python workflow_scripts/show_status.py demo
"""

import argparse
from pathlib import Path

from winnow.core.config.studies import ResolvedStudy
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.study import load_site, load_study, read_yaml
from winnow.reporting.following import follow
from winnow.reporting.overview import overview


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", help="names; without any, every study that has results")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout")
    return parser.parse_args()


def _settings(root: Path, study: str) -> ResolvedStudy | None:
    """Return a study as it is now; None, saying why, if it cannot be read: what was made can be told all the same."""
    try:
        return load_study(root / "studies" / f"{study}.yaml", load_site(read_yaml(root / "config.yaml")), root)
    except WinnowError as error:
        print(f"{study}: what remains is not known, for {error}")
        return None


def main() -> None:
    """Print a part per study."""
    args = parse_args()
    made = sorted(folder.name for folder in (args.root / "results").glob("*") if folder.is_dir())
    known = {file.stem for file in (args.root / "studies").glob("*.yaml")}
    if unknown := [study for study in args.studies if study not in known and study not in made]:
        raise WinnowError(unknown[0], "is no study, and has no results", f"choose one of {', '.join(sorted(known))}")
    if not (args.studies or made):
        print("nothing has been made yet: make demo")
    for study in args.studies or made:
        if study in made:
            print("\n".join(overview(study, follow(study, _settings(args.root, study), args.root))))
        else:
            print(f"{study}: nothing has been made yet: snakemake --cores all results/{study}/report.html")


if __name__ == "__main__":
    run(main, environment="report")
