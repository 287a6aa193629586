"""Making the embedded model `tiny`: data, training, export and evaluation."""
