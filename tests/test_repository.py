"""The repository keeps its own rules: what may stand in its files, and what its papers promise."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from inference_server import __version__
from tests.checkout import ROOT, repository_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
EXAMPLE = ROOT / "examples" / "diabetes_regression"


def forbidden_text() -> re.Pattern[str]:
    """Registry hosts and places on the building machine, in pieces so that this file holds none."""
    registries = "|".join(["py" + "pi", "np" + "m", "python" + "hosted", "deb" + "ian"])
    hosts = rf"https?://[^/\s]*(?:{registries})|\b(?:{registries}|np" + r"mjs)\.(?:com|net|org)\b"
    places = [re.escape(f"{ROOT}/"), "/ro" + "ot/", "/wo" + "rk/(?:main|shared)", r"/\.py" + "env/"]
    return re.compile("|".join([hosts, *places]))


def test_no_file_names_a_package_registry_or_a_place_on_the_building_machine():
    forbidden = forbidden_text()

    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in repository_files()
        for number, line in enumerate(
            path.read_text(encoding="utf-8", errors="replace").splitlines(), 1
        )
        if forbidden.search(line)
    ]

    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("index-url = https://py" + "pi.example.org/simple", id="registry"),
        pytest.param("from py" + "pi.org", id="host"),
        pytest.param(f"see {ROOT}/README.md", id="checkout"),
        pytest.param("cd /ro" + "ot/project", id="home"),
    ],
)
def test_the_search_for_forbidden_text_finds_it(line: str):
    assert forbidden_text().search(line)


@pytest.mark.parametrize("name", ["uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"])
def test_lock_files_stay_out_of_git(name: str):
    assert ROOT / name not in repository_files()
    assert name in (ROOT / ".gitignore").read_text(encoding="utf-8").replace("*", "").split()


def bounded_and_open(requirement: Requirement) -> bool:
    """Has a lower and an upper bound, and room between them."""
    operators = sorted(specifier.operator for specifier in requirement.specifier)
    return operators == ["<", ">="]


@pytest.mark.parametrize(
    "text",
    [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(text for extra in EXTRAS.values() for text in extra if Requirement(text).name != "azml"),
    ],
)
def test_each_requirement_is_bounded_on_both_sides_and_pins_nothing(text: str):
    assert bounded_and_open(Requirement(text))


@pytest.mark.parametrize("text", ["flask", "flask>=3", "flask==3.1.0", "flask~=3.1", "flask<4"])
def test_a_pin_or_an_open_end_is_noticed(text: str):
    assert not bounded_and_open(Requirement(text))


def test_the_changelog_has_a_section_for_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.search(rf"^## \[{re.escape(__version__)}\]", changelog, re.MULTILINE)


def commands_shown_in(markdown: str) -> list[str]:
    """The commands of a page's shell blocks, in order, but for those that lead to the checkout."""
    blocks = re.findall(
        r"^```(?:bash|sh|shell|console)\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL
    )
    lines = [
        line.strip().removeprefix("$ ").removeprefix("./")
        for block in blocks
        for line in block.splitlines()
    ]
    words = [line.split()[0] for line in lines if line and not line.startswith("#")]
    return [word for word in words if word not in {"cd", "git"}]


def test_the_readme_shows_the_demo_and_the_tests_first():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert commands_shown_in(readme)[:2] == ["scripts/demo", "scripts/test"]


def test_every_relative_link_in_the_papers_leads_to_a_file():
    papers = [path for path in repository_files() if path.suffix == ".md"]

    broken = [
        f"{paper.relative_to(ROOT)}: {target}"
        for paper in papers
        for target in re.findall(r"\]\(([^)\s]+)\)", paper.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:|#", target)
        if not (paper.parent / target.partition("#")[0]).exists()
    ]

    assert papers
    assert broken == []


@pytest.mark.parametrize(
    "name", ["scripts/demo", "scripts/test", "scripts/environment.bash", ".ci/run"]
)
def test_each_script_is_valid_bash(name: str):
    checked = subprocess.run(
        ["bash", "-n", name], cwd=ROOT, check=False, capture_output=True, text=True
    )

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", ["scripts/demo", "scripts/test", ".ci/run"])
def test_each_command_is_executable(name: str):
    assert os.access(ROOT / name, os.X_OK)


def test_the_example_environment_asks_for_what_the_examples_extra_installs():
    lines = (EXAMPLE / "conda.yaml").read_text(encoding="utf-8").splitlines()
    from_pip = [line.strip().removeprefix("- ") for line in lines[lines.index("  - pip:") + 1 :]]

    assert from_pip == EXTRAS["examples"]
    assert f"  - python{PROJECT['project']['requires-python']}" in lines


def test_the_sample_request_holds_two_rows_of_ten_numbers():
    sample = json.loads((EXAMPLE / "sample-request.json").read_text(encoding="utf-8"))

    assert list(sample) == ["data"]
    assert [len(row) for row in sample["data"]] == [10, 10]
    assert all(isinstance(value, float) for row in sample["data"] for value in row)


def test_the_wheel_holds_the_server_and_the_module_scripts_import_by_name(tmp_path: Path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.iterdir()

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert wheel.name == f"azml-{__version__}-py3-none-any.whl"
    assert {
        "inference_server/cli.py",
        "inference_server/py.typed",
        "azureml_inference_server_http.py",
    } <= {*names}
    top_level = {name.split("/")[0] for name in names}
    assert top_level == {
        "inference_server",
        "azureml_inference_server_http.py",
        f"azml-{__version__}.dist-info",
    }
