"""What is stored goes where users already look: TensorBoard, MLflow, Weights & Biases; run folders are only read."""
