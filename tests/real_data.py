"""Where the real data lie, for tests that read them; they are not part of the project."""

from pathlib import Path

import pytest

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"

needs_real_data = pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data (../shared/data) are not here")
