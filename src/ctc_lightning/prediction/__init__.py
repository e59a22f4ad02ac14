"""Classes and features of the images in a folder."""
