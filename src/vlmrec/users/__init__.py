"""Item vectors [B, T, D] and a mask [B, T] -> user states [B, T, D]."""
