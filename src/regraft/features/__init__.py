"""One cached pass over the images, by the fastest engine that agrees with the network."""
