"""Predicts how far diabetes has progressed after a year, from ten measurements of a patient."""

import json
import logging
import os

import joblib
import numpy


def init():
    """Load the model once, when the server starts."""
    global model
    model_path = os.path.join(os.getenv("AZUREML_MODEL_DIR"), "model.joblib")
    model = joblib.load(model_path)
    logging.info("Loaded the model from %s", model_path)


def run(raw_data):
    """Answer one scoring request: `{"data": [[ten numbers], ...]}` in, one number per row out."""
    data = numpy.array(json.loads(raw_data)["data"])
    logging.info("Scoring %d rows", len(data))
    return model.predict(data).tolist()
