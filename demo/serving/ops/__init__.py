"""Operations: health, metrics, logs, asset cache, addresses in the local network."""
