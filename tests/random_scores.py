# Copyright (c) orsa contributors. All rights reserved.
"""Scores whose calibration is known, for tests."""
import numpy as np
import torch


def random_scores(temperature, count=6000, seed=0):
    """Logits, and labels drawn from their softmax at a temperature."""
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(0, 2, (count, 5)))
    temperature = torch.as_tensor(temperature).reshape(-1, 1)
    true = (logits / temperature).softmax(1).numpy()
    labels = np.array([rng.choice(5, p=p / p.sum()) for p in true])
    return logits.softmax(1).numpy(), labels
