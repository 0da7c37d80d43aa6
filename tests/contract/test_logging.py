"""What the server and the script write to the log, and in which form."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.conftest import StartServer
from tests.contract.support import LOG_PREFIX, shared_server
from tests.servers import ServerProcess

server = shared_server("prints.py", environ={"TZ": "Asia/Tokyo"})

PRINT = LOG_PREFIX + r" I \[\d+\] azmlinfsrv\.print - "
SERVER = LOG_PREFIX + r" I \[\d+\] azmlinfsrv - "
SCRIPT = LOG_PREFIX + r" I \[\d+\] azmlinfsrv\.user_script - "


def test_a_print_is_one_line_of_the_log(server: ServerProcess) -> None:
    server.score("token-one")

    server.wait_for_log(PRINT + r"token-one\|joined")
    server.wait_for_log(PRINT + r"token-one explicit")
    assert len(server.log_lines(r"token-one\|joined")) == 1
    assert "token-one|joined" in server.stdout


def test_a_print_to_another_file_is_left_alone(server: ServerProcess) -> None:
    server.score("token-two")

    server.wait_for_log(r"^token-two elsewhere$")
    assert "token-two elsewhere" not in server.stdout


def test_a_print_keeps_its_line_breaks(server: ServerProcess) -> None:
    server.score("token-three")

    server.wait_for_log(PRINT + r"token-three first.*\nsecond line")


def test_prints_of_init_are_logged(server: ServerProcess) -> None:
    assert server.log_lines(PRINT + "printed by init")


def test_the_start_is_logged_in_order(server: ServerProcess) -> None:
    server.wait_for_log(SERVER + r"Worker with pid \d+ ready for serving traffic")
    steps = [
        "Initializing logger",
        "Found user script at",
        "run() is not decorated.",
        "Invoking user's init function",
        "printed by init",
        "Users's init has completed successfully",
        "Swaggers are prepared for the following versions: [2, 3, 3.1].",
        "Scoring timeout is set to 3600000",
        "Worker with pid",
    ]

    log = server.stdout
    positions = [log.find(step) for step in steps]

    assert -1 not in positions, dict(zip(steps, positions, strict=True))
    assert positions == sorted(positions)
    assert server.log_lines(SCRIPT + "Users's init has completed successfully")


def test_the_time_of_a_line_is_utc(server: ServerProcess) -> None:
    match = server.wait_for_log(r"^(\S+ \S+),\d{3} I .*Users's init has completed successfully")

    logged = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - logged) < timedelta(hours=1)


def test_a_request_is_logged_with_status_time_and_length(server: ServerProcess) -> None:
    server.request("POST", "/score?a=%20b&c", "token-four")
    server.request("GET", "/swagger.json?version=9")
    server.request("POST", "/score?bad", b"\xff")

    server.wait_for_log(SERVER + r"POST /score\?a=%20b&c 200 \d+\.\d{3}ms 12\b")
    server.wait_for_log(SERVER + r"GET /swagger\.json\?version=9 404 \d+\.\d{3}ms 81\b")
    server.wait_for_log(SERVER + r"POST /score\?bad 400 \d+\.\d{3}ms 119\b")


def test_a_health_probe_is_not_logged(server: ServerProcess) -> None:
    server.request("GET", "/", headers={"User-Agent": "silent-probe"})
    server.request("POST", "/score?after-the-probe", "x")

    server.wait_for_log(r"POST /score\?after-the-probe 200")
    assert "silent-probe" not in server.log
    assert not server.log_lines(r" - GET / ")


def test_the_users_logging_configuration_replaces_ours(
    start_server: StartServer, tmp_path: Path
) -> None:
    configuration = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "mine": {
                "()": "azureml_inference_server_http.log_config.AMLLogFormatter",
                "format": "MINE %(asctime)s %(name)s %(message)s",
            }
        },
        "filters": {"access": {"()": "azureml_inference_server_http.log_config.RootAccessFilter"}},
        "handlers": {
            "mine": {
                "class": "logging.StreamHandler",
                "formatter": "mine",
                "filters": ["access"],
                "stream": "ext://sys.stdout",
            }
        },
        "loggers": {"azmlinfsrv": {"level": "INFO", "handlers": ["mine"], "propagate": False}},
    }
    (tmp_path / "logging.json").write_text(json.dumps(configuration))

    server = start_server("prints.py")
    server.score("token-five")

    server.wait_for_log(r"^MINE \S+ \S+ azmlinfsrv\.print token-five\|joined")
    server.wait_for_log(rf"^MINE .* azmlinfsrv Loaded logging config from .*{tmp_path.name}")


def test_a_broken_logging_configuration_ends_the_server(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "logging.json").write_text("{")

    assert start_server("prints.py", ready=False).wait_exit() == 3
