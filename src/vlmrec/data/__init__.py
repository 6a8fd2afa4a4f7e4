"""Raw logs and pictures -> one immutable dataset -> splits -> padded batches and negatives."""
