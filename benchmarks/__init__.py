"""Equal work for several tools in one interleaved run: `make bench`."""
