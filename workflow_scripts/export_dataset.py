"""Export rendered datasets for another trainer, read them back by its rules and compare every row with TRL's.

Inputs: rendered train and val tables as DATASET/MODALITY/SPLIT=FILE. Outputs: for llama_factory a folder with
dataset_info.json, one data.json per dataset and a training YAML per run; for verl a Parquet file per SFT
table. The manifest is written after the comparison, so it vouches for it.

    python workflow_scripts/export_dataset.py --format llama_factory --spec "$SPEC" \
        --datasets sft/clean/train=results/demo/datasets/sft/clean/train.parquet \
        --out results/demo/exports/llama_factory --manifest results/demo/exports/llama_factory/manifest.json
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import write_text
from winnow.core.log import log
from winnow.core.manifest import write_manifest
from winnow.core.named_paths import named_paths
from winnow.core.study import parse
from winnow.datasets import export_llama_factory, export_verl, llama_factory_loader
from winnow.datasets.export_tables import ExportSpec, RenderedTable, tables_of
from winnow.datasets.llama_factory_images import cutoff_of
from winnow.datasets.llama_factory_training import as_yaml, merge_settings, settings_of, training_file


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=("llama_factory", "verl"), required=True)
    parser.add_argument("--spec", required=True, help="study, models, runs, context, as JSON")
    parser.add_argument("--datasets", nargs="+", required=True, metavar="DATASET/MODALITY/SPLIT=FILE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    return parser.parse_args()


def training_files(
    out: Path, spec: ExportSpec, tables: Sequence[RenderedTable], counts: dict[str, int]
) -> tuple[list[str], dict[str, str]]:
    """Write the training files, and return their names, and of runs that cannot be expressed the reason."""
    runs, written, left_out = {one.name: one for one in spec.runs}, [], {}
    names = [name for name, count in counts.items() if count]
    for one in spec.runs:
        try:
            read = [table for table in tables if (table.dataset, table.modality) == (one.dataset, one.modality)]
            cutoff = cutoff_of(read, spec.context[one.modality])
            settings = settings_of(one, runs, spec.models, cutoff, names, pixels=spec.pixels.get(one.modality))
        except WinnowError as error:
            left_out[one.name] = str(error)
            log(f"no training file for {one.name}: {error}")
            continue
        files = {f"{one.name}.yaml": training_file(one, settings)}
        if one.is_adapter:
            settings = merge_settings(one, runs, spec.models)
            how = f"After training: llamafactory-cli export {one.name}-merge.yaml"
            files[f"{one.name}-merge.yaml"] = as_yaml(settings, how)
        for name, text in files.items():
            write_text(out / name, text)
            llama_factory_loader.check_training_file(out / name, counts)
            written.append(name)
    return written, left_out


def to_llama_factory(out: Path, spec: ExportSpec, tables: Sequence[RenderedTable]) -> tuple[list[str], dict[str, Any]]:
    """Export for LLaMA-Factory, check, and return the files and what the manifest says of them."""
    counts = export_llama_factory.write_datasets(out, tables)
    for table in tables:
        if counts[export_llama_factory.name_of(table.dataset, table.modality, table.split)]:
            llama_factory_loader.check_table(out, table)
    trainings, left_out = training_files(out, spec, tables, counts)
    files = ["dataset_info.json", *(f"{table.folder}/data.json" for table in tables), *trainings]
    return files, {"counts": counts, "runs_left_out": left_out}


def to_verl(out: Path, tables: Sequence[RenderedTable]) -> tuple[list[str], dict[str, Any]]:
    """Export for verl, check, and return the files and what the manifest says of them."""
    counts = export_verl.write_datasets(out, tables)
    exported = [table for table in tables if table.stage == "sft"]
    for table in exported:
        export_verl.check_table(out, table)
    left_out = {table.folder: export_verl.NO_PAIRS for table in tables if table.stage == "dpo"}
    how = {export_verl.file_of(table): export_verl.options(table) for table in exported}
    return sorted(counts), {"counts": counts, "tables_left_out": left_out, "options": how}


def main() -> None:
    """Export, check, write the manifest."""
    args = parse_args()
    spec, paths = parse(ExportSpec, json.loads(args.spec), "--spec"), named_paths(args.datasets, "--datasets")
    tables = tables_of(paths, spec)
    files, said = to_verl(args.out, tables) if args.format == "verl" else to_llama_factory(args.out, spec, tables)
    log(f"exported and compared row by row with TRL's tables: {said['counts']}")
    write_manifest(
        args.manifest,
        step="export_dataset",
        inputs=paths,
        outputs={name: args.out / name for name in files},
        settings={"format": args.format} | spec.model_dump(mode="json"),
        software=["pyarrow", "duckdb", "PyYAML"],
        **said,
    )


if __name__ == "__main__":
    run(main, environment="data")
