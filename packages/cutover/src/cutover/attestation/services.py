"""The collateral services that are asked where nobody names others. It imports nothing heavy."""

from typing import Final

PHALA: Final = "https://pccs.phala.network"
INTEL: Final = "https://api.trustedservices.intel.com"

DEFAULT: Final = (PHALA, INTEL)
"""Phala's copy, then Intel's own service: one that is down or lags is not the end of it."""
