"""The modality report card: what a trained model makes of texts and pictures, taken apart."""
