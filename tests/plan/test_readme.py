"""The README's commands: each target exists, and each Snakemake command has a plan."""

import re
import shlex
import shutil
import subprocess

import pytest

from workflow import ROOT, snakemake, touch_raw_files

README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
MAKE = [command for command in COMMANDS if command.startswith("make ")]
SNAKEMAKE = [command for command in COMMANDS if command.startswith("snakemake ")]


def test_every_command_is_known_to_these_tests():
    assert {"make demo", "make test"} <= set(MAKE)
    assert len(SNAKEMAKE) >= 10
    assert set(COMMANDS) == {*MAKE, *SNAKEMAKE}


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("command", MAKE)
def test_a_make_command_has_a_recipe(checkout, command):
    done = subprocess.run(
        [*shlex.split(command), "--dry-run"], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Nothing to be done" not in done.stdout


@pytest.mark.parametrize("command", SNAKEMAKE)
def test_a_snakemake_command_has_a_plan(checkout, command):
    touch_raw_files(checkout)
    arguments = shlex.split(command.replace("../shared/data", "data"))[1:]
    assert "Job stats" in snakemake(checkout, "--dry-run", *arguments).stdout


@pytest.mark.parametrize("study", re.findall(r"```yaml\n(extends:.*?)```", README, re.DOTALL))
def test_a_study_of_the_readme_has_a_plan(checkout, study):
    touch_raw_files(checkout)
    name = re.search(r"^study: (\w+)$", study, re.MULTILINE)[1]
    (checkout / "studies" / f"{name}.yaml").write_text(study)
    arguments = ("--config", 'interpreters={"judge": "sh"}', "--", f"results/{name}/report.html")
    assert "Job stats" in snakemake(checkout, "--dry-run", *arguments).stdout


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_a_link_leads_somewhere(link):
    assert (ROOT / link).exists()
