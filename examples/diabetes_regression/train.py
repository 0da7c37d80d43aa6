"""Trains the model that `score.py` serves, on the diabetes data that comes with scikit-learn.

Writes `model/model.joblib` beside this file. The same scikit-learn gives the same model each time.
"""

from __future__ import annotations

import os
from pathlib import Path

import joblib
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

MODEL_PATH = Path(__file__).resolve().parent / "model" / "model.joblib"


def main() -> None:
    """Fit a ridge regression, save it, and print its score on data it has not seen."""
    features, progression = load_diabetes(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(features, progression, random_state=0)
    model = Ridge(alpha=0.05).fit(x_train, y_train)

    MODEL_PATH.parent.mkdir(exist_ok=True)
    # Written aside first: an interrupted training leaves no half model behind.
    partial = MODEL_PATH.with_suffix(".partial")
    joblib.dump(model, partial)
    os.replace(partial, MODEL_PATH)
    print(f"Wrote {MODEL_PATH} (R² on held-out data: {model.score(x_test, y_test):.2f})")


if __name__ == "__main__":
    main()
