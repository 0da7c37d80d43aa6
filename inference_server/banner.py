"""What the command prints before it serves: settings and routes."""

from __future__ import annotations

from collections.abc import Mapping

from inference_server import __version__
from inference_server.settings import Settings

_RULE = "-" * 15


def render_banner(environ: Mapping[str, str], settings: Settings) -> str:
    """The banner; its labels are the reference's, values are those in force.

    Args:
        environ: Environment after the command line was written into it.
        settings: The settings in force.
    """
    origins = settings.access_control_allow_origins
    rows = {
        "Entry Script Name": environ.get("AZUREML_ENTRY_SCRIPT") or settings.entry_script,
        "Model Directory": environ.get("AZUREML_MODEL_DIR") or settings.model_dir,
        "Config File": environ.get("AZUREML_CONFIG_FILE"),
        "Worker Count": settings.worker_count,
        "Worker Timeout (seconds)": settings.worker_timeout,
        "Server Port": settings.port,
        "Health Port": environ.get("HEALTH_PORT"),
        "Application Insights Enabled": str(settings.appinsights_enabled).lower(),
        "Application Insights Key": "AppInsights key provided"
        if settings.appinsights_instrumentation_key
        else None,
        "Inferencing HTTP server version": environ.get("HTTP_X_MS_SERVER_VERSION"),
        "CORS for the specified origins": f"Enabling CORS for {origins}" if origins else None,
        "Create dedicated endpoint for health": environ.get("SEPERATE_HEALTH_ENDPOINT"),
    }
    host = settings.host.strip("[]")
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
    if ":" in host:
        host = f"[{host}]"
    lines = [
        "",
        f"Azure ML Inferencing HTTP server v{__version__}",
        "",
        "",
        "Server Settings",
        _RULE,
        *(f"{label}: {value}" for label, value in rows.items()),
        "",
        "",
        "Server Routes",
        _RULE,
        f"Liveness Probe: GET   {host}:{environ.get('HEALTH_PORT', settings.port)}/",
        f"Score:          POST  {host}:{settings.port}/score",
        "",
        _listening(settings),
        "",
    ]
    return "\n".join(lines)


def _listening(settings: Settings) -> str:
    if settings.is_local:
        return (
            f"Listening on {settings.host} only: clients on this machine. "
            "Open up with --host 0.0.0.0; there is no authentication."
        )
    return f"Listening on {settings.host}: clients on other machines can connect, unauthenticated."


def check_instrumentation_key(settings: Settings) -> tuple[bool, list[str]]:
    """Whether telemetry is on: asked for, with a key of the right shape; and lines to print."""
    key = settings.appinsights_instrumentation_key
    if not (settings.appinsights_enabled and key):
        return False, []
    from inference_server.telemetry import instrumentation_key_is_valid

    if instrumentation_key_is_valid(key):
        return True, ["Valid Application Insights instrumentation key provided."]
    return False, [
        "Invalid Application Insights instrumentation key provided.",
        "Application Insights has been disabled.",
    ]
