"""The data sets that scikit-learn brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .dataset import Column, Dataset, full

if TYPE_CHECKING:
    from .request import Request


def load_digits(_: Request) -> Dataset:
    """1797 handwritten digits of 8 x 8 pixels from 0 to 1."""
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) / 16).astype(np.float32)
    return Dataset({"image": full(pixels, "i", "j"), "label": full(labels.astype(np.int64))})


def load_table(request: Request) -> Dataset:
    """A table of features with a class or a number to predict; the source says which table.

    With `standard`, each feature has mean 0 and variance 1 over what is not held back.
    """
    from sklearn import datasets

    loaders = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast_cancer": datasets.load_breast_cancer,
        "diabetes": datasets.load_diabetes,
    }
    features, target = loaders[request.source](return_X_y=True)
    if request.source == "diabetes":
        answer = {"target": full(target.astype(np.float32))}
    else:
        answer = {"label": full(target.astype(np.int64))}
    whole = Dataset({"x": full(features.astype(np.float32), "f"), **answer})
    data = whole.with_held(request.number("held"), request.seed)
    return _standard(data) if request.options["standard"] else data


def _standard(data: Dataset) -> Dataset:
    seen = data["x"].values.astype(np.float64)
    mean, deviation = seen.mean(axis=0), seen.std(axis=0)

    def scaled(part: Dataset) -> dict[str, Column]:
        x = (part["x"].values - mean) / np.where(deviation == 0, 1, deviation)
        return {**part.columns, "x": full(x.astype(np.float32), "f")}

    return Dataset(scaled(data), Dataset(scaled(data.held)) if data.held else None)
