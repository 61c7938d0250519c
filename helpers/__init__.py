"""Small modules behind the notebooks: models and specs in, labelled HappyMaps out."""
