"""Lets the checks find what they share, and rewrites a failed comparison of theirs readably."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.register_assert_rewrite("rendering")
