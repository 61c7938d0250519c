"""Where does a model look, and do its HappyMaps tell the same story?"""
