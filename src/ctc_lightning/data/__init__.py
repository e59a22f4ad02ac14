"""Data modules: tensors in memory, augmented as whole batches on the training device."""
