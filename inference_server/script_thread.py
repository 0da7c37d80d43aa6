"""The scoring script on a thread of its own, for engines that need the main thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from inference_server.application import Application


class ScriptThread:
    """Loads the script and calls `run()` on one thread, the same from start to end.

    Args:
        application: The server of this process.
        before_load: Called on the thread before the script loads.
        before_serve: Called on the thread when the script has loaded.
        on_ready: Called once scoring requests are answered from now on.
        on_failure: Told why the script cannot be served, after that has been logged.
    """

    def __init__(
        self,
        application: Application,
        *,
        before_load: Callable[[], None] = lambda: None,
        before_serve: Callable[[], None] = lambda: None,
        on_ready: Callable[[], None] = lambda: None,
        on_failure: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self._application = application
        self._before_load = before_load
        self._before_serve = before_serve
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._failure: BaseException | None = None
        self._loaded = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="scoring-0", daemon=True)
        self._thread.start()

    def wait_until_loaded(self) -> None:
        """Wait for the script.

        Raises:
            Exception: Whatever makes the script unservable; it has been logged.
        """
        self._loaded.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Finish what is in the queue and end the scoring threads."""
        self._application.stop()
        self._thread.join()

    def _serve(self) -> None:
        try:
            self._before_load()
            if not self._application.is_loaded:
                self._application.load()
        except Exception as error:  # noqa: BLE001 - raised again on the thread that waits
            self._failure = error
            self._loaded.set()
            self._on_failure(error)
            return
        self._loaded.set()
        self._before_serve()
        self._application.serve(on_ready=self._on_ready)
