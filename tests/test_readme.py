"""What the README shows works as it is shown there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inference_server.settings_help import options_table, variables_table
from tests.checkout import ROOT
from tests.conftest import StartServer
from tests.servers import free_port, server_command

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "diabetes_regression"


def blocks(language: str) -> list[str]:
    """The code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's model, trained in a folder of the tests' own."""
    folder = tmp_path_factory.mktemp("diabetes_regression")
    shutil.copy(EXAMPLE / "train.py", folder)
    subprocess.run([sys.executable, "train.py"], cwd=folder, check=True, capture_output=True)
    return folder / "model"


def test_the_commands_that_serve_and_ask_work(start_server: StartServer, model_dir: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("not on this machine: curl")
    port = free_port()
    serve, ask = (shlex.split(block) for block in blocks("bash")[1:3])
    serve[serve.index("examples/diabetes_regression/model")] = str(model_dir)
    script = serve[serve.index("--entry_script") + 1]

    start_server(ROOT / script, *serve[3:], port=port, cwd=ROOT)
    url = ask[-1].replace("5001", str(port))
    answer = subprocess.run(
        [curl, "--silent", "--noproxy", "*", *ask[1:-1], url],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=30,
    )

    assert serve[:2] == [".venv/bin/azmlinfsrv", "--entry_script"]
    assert [type(value) for value in json.loads(answer.stdout)] == [float, float]


def test_the_scoring_script_works(
    start_server: StartServer, tmp_path: Path, model_dir: Path
) -> None:
    script = tmp_path / "score.py"
    script.write_text(blocks("python")[0], encoding="utf-8")
    sample = json.loads((EXAMPLE / "sample-request.json").read_text(encoding="utf-8"))

    server = start_server(script, "--model_dir", str(model_dir))

    by_name = server.score(json.dumps(sample))
    alone = server.score(json.dumps(sample["data"]))
    misfit = server.score(json.dumps({"data": [[1.0], ["two"]]}))
    assert len(by_name.json()) == len(sample["data"])
    assert alone.json() == by_name.json()
    assert (misfit.status, misfit.json()["error"]["path"]) == (422, "$.data[1][0]")


def test_the_error_shown_has_the_fields_of_a_real_one(
    start_server: StartServer, tmp_path: Path
) -> None:
    shown = json.loads(blocks("json")[0])
    script = tmp_path / "score.py"
    script.write_text(
        "import json\n\ndef init():\n    pass\n\ndef run(raw_data):\n"
        f"    {shown['error']['source']}\n    return rows\n",
        encoding="utf-8",
    )

    real = start_server(script, cwd=tmp_path).score("{}").json()

    assert real.keys() == shown.keys()
    assert real["message"] == shown["message"]
    assert real["error"].keys() == shown["error"].keys()
    same = ("type", "message", "file", "function", "source")
    assert [real["error"][key] for key in same] == [shown["error"][key] for key in same]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        pytest.param("options", options_table(), id="options"),
        pytest.param("settings", variables_table(), id="variables"),
    ],
)
def test_the_tables_of_settings_are_those_of_the_program(name: str, table: str) -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    assert f"<!-- {name}: written by scripts/settings-table -->\n\n{table}\n\n<!-- end" in text, (
        "run scripts/settings-table"
    )


@pytest.mark.parametrize("module", ["inference_server", "azureml_inference_server_http"])
def test_the_server_starts_under_each_name_that_is_promised(module: str) -> None:
    python = server_command().parent / "python"

    found = subprocess.run(
        [python, "-m", module, "--version"], capture_output=True, text=True, timeout=30, check=True
    )

    assert found.stdout.startswith("azmlinfsrv ")


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150
