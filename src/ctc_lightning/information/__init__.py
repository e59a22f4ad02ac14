"""I(X;T) and I(T;Y) of every checkpoint, and the calibration of their estimators."""
