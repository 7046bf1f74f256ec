"""What is said, as numbers: words from the logits of a CTC head, features of them, and personal rates."""
