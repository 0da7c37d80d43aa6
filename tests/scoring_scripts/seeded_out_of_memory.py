import resource


def init():
    pass


def run(raw_data):
    limit = 1 << 32
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return len(bytearray(limit))
