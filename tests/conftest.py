"""Set-up for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples on every run, so that a failure is met by whoever caused it.
# HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
