"""Language models behind one protocol: Ollama in production, an embedded quantized model without it."""
