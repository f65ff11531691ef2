"""Virtual time, simulated machines and the network between them."""
