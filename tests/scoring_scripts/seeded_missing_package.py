import json

import package_that_is_not_there


def init():
    pass


def run(raw_data):
    return package_that_is_not_there.predict(json.loads(raw_data))
