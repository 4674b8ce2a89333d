"""Write the packages of images as CycloneDX."""
