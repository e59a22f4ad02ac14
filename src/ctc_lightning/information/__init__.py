"""I(X;T) and I(T;Y) of every checkpoint."""
