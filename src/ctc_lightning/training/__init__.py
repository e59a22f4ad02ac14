"""What a training needs besides the method: callbacks, loggers, strategy, checkpoints."""
