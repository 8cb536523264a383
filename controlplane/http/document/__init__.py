"""What the OpenAPI document says beyond what Litestar reads off the handlers."""
