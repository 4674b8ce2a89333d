"""Lists the packages of images as CycloneDX."""
