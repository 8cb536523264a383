"""The daemon that runs beside an AI-agent runtime, in its owner's network."""
