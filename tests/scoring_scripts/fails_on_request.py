def init():
    print("loaded")


def run(raw_data):
    print("scoring", raw_data)
    if raw_data == "bad":
        raise KeyError("missing")
    return {"length": len(raw_data)}
