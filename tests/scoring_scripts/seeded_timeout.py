import time


def init():
    pass


def run(raw_data):
    time.sleep(60)
    return raw_data
