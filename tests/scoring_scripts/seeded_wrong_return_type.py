def init():
    pass


def predict(raw_data):
    return None


def run(raw_data):
    return predict(raw_data).tolist()
