"""Makes `fakes` importable as ``feature_fakes``."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("feature_fakes", Path(__file__).with_name("fakes.py"))
sys.modules["feature_fakes"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["feature_fakes"])
