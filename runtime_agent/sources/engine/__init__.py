"""EngineX and hive homes: ``~/.engine``, ``~/.hive``."""

from runtime_agent.sources.engine.home import EngineHome

__all__ = ["EngineHome"]
