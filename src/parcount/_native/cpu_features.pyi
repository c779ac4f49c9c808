VARIABLE: str
REQUIRES: dict[str, tuple[str, ...]]
SUPPORTED: tuple[str, ...]
ENABLED: tuple[str, ...]

def enabled_features(text: str, /) -> tuple[str, ...]: ...
