"""Caption files and captioned image sets."""
