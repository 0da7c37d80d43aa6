def init():
    pass


def run(raw_data):
    return {"predictions": [1, object()]}
