"""The three laws of the house, read from the imports themselves."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from winnow.core.code import import_closure, imported_modules

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow_scripts"
LIBRARY = SCRIPTS / "winnow"
LEAVES = {"core", "graders", "numerics", "generation", "models"}
STAGES = {folder.name for folder in LIBRARY.iterdir() if (folder / "__init__.py").is_file()} - LEAVES
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers", "vllm"}
LIGHT_ROOMS = {"core", "graders", "corpus", "scoring", "datasets"}
MAY_BE_HEAVY = {"datasets/render.py", "datasets/validate.py", "scoring/vllm.py"}


def rooms_imported(file):
    """The rooms of the library that a file imports."""
    names = (name.split(".") for name in imported_modules(file))
    return {parts[1] for parts in names if parts[0] == "winnow" and len(parts) > 1}


def library_files():
    return sorted(LIBRARY.rglob("*.py"))


def scripts():
    return sorted(SCRIPTS.glob("*.py"))


def test_the_laws_see_the_whole_house():
    assert {"corpus", "scoring", "datasets", "training", "evaluation", "reporting"} <= STAGES
    assert len(scripts()) >= 19


@pytest.mark.parametrize("file", library_files(), ids=lambda file: str(file.relative_to(LIBRARY)))
def test_law_1_stages_do_not_import_each_other(file):
    room = file.relative_to(LIBRARY).parts[0]
    allowed = LEAVES | {room} if room in STAGES else LEAVES
    assert rooms_imported(file) <= allowed


@pytest.mark.parametrize("script", scripts(), ids=lambda file: file.stem)
def test_law_1_a_script_imports_one_stage(script):
    assert len(rooms_imported(script) & STAGES) <= 1


@pytest.mark.parametrize("file", library_files(), ids=lambda file: str(file.relative_to(LIBRARY)))
def test_law_2_data_code_knows_no_training_library(file):
    relative = file.relative_to(LIBRARY)
    if relative.parts[0] in LIGHT_ROOMS and str(relative) not in MAY_BE_HEAVY:
        # "datasets" is a room of ours too; as a library it is imported by its bare name.
        assert not {name.split(".")[0] for name in imported_modules(file)} & HEAVY


@pytest.mark.parametrize("file", library_files(), ids=lambda file: str(file.relative_to(LIBRARY)))
def test_law_3_the_library_does_not_know_snakemake(file):
    assert not {name for name in imported_modules(file) if name.split(".")[0] == "snakemake"}
    assert not re.search(r"\bsnakemake\.(input|output|params|wildcards|config)\b", file.read_text())


@pytest.mark.parametrize("file", sorted((ROOT / "rules").rglob("*.smk")), ids=lambda file: file.name)
def test_law_3_the_rules_do_not_know_training(file):
    words = r"import (torch|transformers|trl)|learning_rate|optimizer|checkpoint-|Trainer"
    assert not re.search(words, file.read_text())


def test_no_code_asks_which_study_it_is():
    asking = re.compile(r"if .*\bstudy(_name)?\b *(==|in) *[\[\(\"']")
    files = [*scripts(), *library_files(), *(ROOT / "rules").rglob("*.smk"), ROOT / "Snakefile"]
    assert [str(file) for file in files if asking.search(file.read_text())] == []


# `write_schemas` takes no arguments and writes at once.
@pytest.mark.parametrize("script", [s for s in scripts() if s.stem != "write_schemas"], ids=lambda file: file.stem)
def test_every_script_explains_itself(script):
    shown = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert f"python workflow_scripts/{script.name}" in shown.stdout


def test_imports_are_found_wherever_a_statement_may_stand(tmp_path):
    """Only statements are walked; here against a walk over everything."""
    blocks = """
if a: import b1
elif a: import b2
else: import b3
for a in b: import b4
else: import b5
while a:
    with b: import b6
try: import b7
except A: import b8
else: import b9
finally: import b10
try: pass
except* A: from c import d
match a:
    case 1: import b11
class A:
    async def f(self):
        async with a:
            async for b in c:
                import b12
"""
    (tmp_path / "nested.py").write_text(blocks)
    for file in (tmp_path / "nested.py", *library_files(), *scripts()):
        walked = [
            node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = {alias.name for node in walked if isinstance(node, ast.Import) for alias in node.names}
        froms = [node for node in walked if isinstance(node, ast.ImportFrom)]
        names |= {str(node.module) for node in froms}
        names |= {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
        assert imported_modules(file) == names
    assert {f"b{number}" for number in range(1, 13)} < imported_modules(tmp_path / "nested.py")


def test_no_table_brings_pandas():
    """Arrow would import it with the first array; who asks for it has it still."""
    asked = (
        "import sys, pyarrow as pa, winnow.core.tables; t = pa.table({'a': ['b']}); assert 'pandas' not in sys.modules"
    )
    run = [
        sys.executable,
        "-c",
        f"{asked}; assert t.to_pandas()['a'][0] == 'b'; assert len(pa.array(t.to_pandas()['a']))",
    ]
    subprocess.run(run, env={"PYTHONPATH": str(LIBRARY.parent)}, check=True)


def test_the_closure_follows_imports_and_nothing_else(tmp_path):
    (tmp_path / "lib" / "inner").mkdir(parents=True)
    for name in ("lib/__init__.py", "lib/inner/__init__.py", "lib/unused.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "lib/inner/leaf.py").write_text("import json\n")
    (tmp_path / "lib/middle.py").write_text("def f():\n    from lib.inner import leaf\n    return leaf\n")
    (tmp_path / "script.py").write_text("from lib.middle import f\n")
    found = [str(file.relative_to(tmp_path)) for file in import_closure(tmp_path / "script.py")]
    assert found == ["script.py", "lib/__init__.py", "lib/inner/__init__.py", "lib/inner/leaf.py", "lib/middle.py"]
