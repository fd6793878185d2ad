"""A mail's bytes to what a person sees, to what the model reads, and back with a stamp."""
