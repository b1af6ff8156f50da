"""The HTTP server: uvicorn, with limits and strict framing."""
