"""What the conductor and the gateway meet: planes, rails, a chain, a TEE, clients, operators."""
