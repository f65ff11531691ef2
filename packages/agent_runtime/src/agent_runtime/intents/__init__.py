"""What this service does for people: one module an intent."""
