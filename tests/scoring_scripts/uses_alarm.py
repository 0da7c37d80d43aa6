"""Uses SIGALRM for itself."""

import signal
import time

alarms = 0


def init():
    """Install a handler."""
    signal.signal(signal.SIGALRM, on_alarm)


def on_alarm(number, frame):
    """Count."""
    global alarms
    alarms += 1


def run(how):
    """Outlast the deadline, or have an alarm sent and count alarms."""
    if how == "slow":
        time.sleep(3)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(0.1)
    return {"alarms": alarms, "mine": signal.getsignal(signal.SIGALRM) is on_alarm}
