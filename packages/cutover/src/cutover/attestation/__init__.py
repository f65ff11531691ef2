"""Who is speaking: from a TDX quote and its bundle to a verdict with reasons.

Left of the bar is pure, right of it does I/O:
verdict limits strict quote eventlog compose measurement statement keychain tcb collateral dcap
policy verifier explain draft | fetch collateral_source examine.
"""
