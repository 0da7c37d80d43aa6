import os
import pickle


def init():
    global model
    path = os.path.join(os.getenv("AZUREML_MODEL_DIR"), "model.pkl")
    with open(path, "rb") as file:
        model = pickle.load(file)


def run(raw_data):
    return model
