"""Why are our results so different? Recipes of maps on faces models and an ImageNet model."""
