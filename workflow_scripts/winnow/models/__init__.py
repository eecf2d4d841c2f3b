"""What training and evaluation both need of a model: its weights, its processor, the images it is shown."""
