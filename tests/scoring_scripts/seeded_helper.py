import json


def parse(raw_data):
    return json.loads(raw_data)["data"]
