"""How much device memory a model needs: weights, key-value cache and what the runtime takes besides.

Sizes are computed from the architecture, so they are there before anything was pulled. The embedding of a q4_0 file is stored as q6_K,
which is why such a file is larger than 4.5 bits times its parameters. Only the two models of the default chain are known; for
another one the answer is None, never a guess.
"""

from pydantic import BaseModel, ConfigDict

# Tokenizer and header of a Llama 3.2 GGUF.
METADATA_BYTES = 8_000_000
# Compute buffers and CUDA context: 0.5 to 0.8 GB, an estimate that was not measured. The larger one: a model must fit.
OVERHEAD_BYTES = 800_000_000
CACHE_BYTES_PER_VALUE = 2
# Bytes per parameter: (everything else, the tied embedding). Block layouts of GGUF: q4_0 18 B per 32, q8_0 34 B per 32, q6_K 210 B per 256.
WEIGHT_BYTES = {"q4_0": (18 / 32, 210 / 256), "q8_0": (34 / 32, 34 / 32), "fp16": (2.0, 2.0)}


class Architecture(BaseModel):
    """`embedding_parameters` are part of `parameters`; Llama 3.2 uses them for input and output."""

    model_config = ConfigDict(frozen=True)

    parameters: int
    embedding_parameters: int
    layers: int
    key_value_heads: int
    head_size: int

    @property
    def cache_bytes_per_token(self) -> int:
        """One key and one value per layer, head and dimension, 16 bits each."""
        return 2 * self.layers * self.key_value_heads * self.head_size * CACHE_BYTES_PER_VALUE


ARCHITECTURES = {
    "llama3.2:1b": Architecture(
        parameters=1_235_814_400, embedding_parameters=128_256 * 2048, layers=16, key_value_heads=8, head_size=64
    ),
    "llama3.2:3b": Architecture(
        parameters=3_212_749_824, embedding_parameters=128_256 * 3072, layers=28, key_value_heads=8, head_size=128
    ),
}


class VramNeed(BaseModel):
    """Bytes."""

    model_config = ConfigDict(frozen=True)

    weights: int
    cache: int
    overhead: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.overhead


def vram_need(model: str, num_ctx: int) -> VramNeed | None:
    """Of an Ollama model name (`llama3.2:3b-instruct-q4_0`) at a context of `num_ctx` tokens; None for a model not known here."""
    for name, architecture in ARCHITECTURES.items():
        quantization = model.rpartition("-")[2].lower()
        if model.startswith(f"{name}-") and quantization in WEIGHT_BYTES:
            return VramNeed(
                weights=weight_bytes(architecture, quantization) + METADATA_BYTES,
                cache=architecture.cache_bytes_per_token * num_ctx,
                overhead=OVERHEAD_BYTES,
            )
    return None


def weight_bytes(architecture: Architecture, quantization: str) -> int:
    """Tensor bytes; norms are counted as quantized too, which is wrong by less than 0.1 %."""
    body, embedding = WEIGHT_BYTES[quantization]
    others = architecture.parameters - architecture.embedding_parameters
    return round(others * body + architecture.embedding_parameters * embedding)
