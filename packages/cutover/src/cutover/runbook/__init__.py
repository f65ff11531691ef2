"""What was agreed: planes, intents, stages, gates and rollback conditions, as frozen values."""
