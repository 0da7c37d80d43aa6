import seeded_helper


def init():
    pass


def run(raw_data):
    return seeded_helper.parse(raw_data)
