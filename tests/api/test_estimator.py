"""`LinearProbe` against scikit-learn's contract, its own logistic regression, and the command."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import vlmbench
from vlmbench import LinearProbe


@parametrize_with_checks([LinearProbe(), LinearProbe(C=1.0)])
def test_scikit_learns_contract(estimator, check):
    check(estimator)
