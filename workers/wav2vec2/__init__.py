"""A Keras 3 Wav2Vec 2.0 encoder that reads Hugging Face checkpoints."""
