import os
import signal


def init():
    pass


def run(raw_data):
    os.kill(os.getpid(), signal.SIGKILL)
