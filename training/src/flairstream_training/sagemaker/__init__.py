"""Training on Amazon SageMaker: the container's side of the contract, and the side that submits."""
