"""The notation: how values are analysed, written as text, and read back from it."""
