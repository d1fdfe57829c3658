"""The middlewares, one file each; every one is thin and joins a lower room to the chain."""
