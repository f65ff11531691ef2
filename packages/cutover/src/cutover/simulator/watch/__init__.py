"""The lines that only the whole world can show: what clients got, what planes were asked to do."""
