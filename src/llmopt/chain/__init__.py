"""The chain: runs middlewares over one call, in threads, asyncio and trio alike."""
