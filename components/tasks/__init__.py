"""Classification and instruction tasks: records, splits, batches."""
