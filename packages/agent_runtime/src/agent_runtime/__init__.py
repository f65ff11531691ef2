"""The controller runtime: one service, deployed unchanged on both planes."""
