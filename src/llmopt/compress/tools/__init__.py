"""Tool catalogues and JSON Schemas in few tokens, and back: the same meaning in one normal form."""
