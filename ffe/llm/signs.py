"""Three independent signs of where a model runs, and the verdict that they allow together.

No single sign is enough. What Ollama reports is read from a log of its runner and has said "100% GPU" of a model on the CPU. Memory
of a device rises for other reasons too. Speed says nothing without a floor that was measured on that host. So "GPU" needs the
report and one more sign, and one sign that is known and disagrees makes it unknown. "CPU" and "split" are the careful answers:
the report alone is enough for them.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

# Of size_vram / size: a model counts as wholly on the GPU although a few buffers stay with the host.
WHOLE = 0.99
# Of the model's size: how much the devices' memory must rise across its load.
RISE = 0.8
# A rise below this share is what other processes do anyway.
NOISE = 0.1
# A CUDA context alone takes up to about this much (an estimate): a rise below it says nothing of the weights.
CONTEXT_BYTES = 500_000_000


class Sign(StrEnum):
    GPU = "gpu"
    SPLIT = "split"
    CPU = "cpu"
    UNKNOWN = "unknown"


class SignReading(BaseModel):
    """`detail` has both numbers, or why there are none."""

    model_config = ConfigDict(frozen=True)

    sign: Sign
    detail: str


def judge(reported: Sign, memory: Sign, speed: Sign) -> Sign:
    """The verdict. GPU only when the report says so, another sign agrees and none that is known disagrees.

    The speed of a split model may lie on either side of the floor, so it neither confirms nor denies "split".
    """
    others = {memory} if reported is Sign.SPLIT else {memory, speed}
    known = others - {Sign.UNKNOWN}
    if known - {reported}:
        return Sign.UNKNOWN
    if reported is Sign.GPU and not known:
        return Sign.UNKNOWN
    return reported


def reported_sign(size: int, size_vram: int) -> SignReading:
    """Of what the server says: bytes of the model and how many of them lie on devices."""
    if size <= 0:
        return SignReading(sign=Sign.UNKNOWN, detail=f"the server reports a size of {size} bytes")
    share = size_vram / size
    detail = f"the server reports {gigabytes(size_vram)} of {gigabytes(size)} on the device ({share:.0%})"
    if share >= WHOLE:
        return SignReading(sign=Sign.GPU, detail=detail)
    return SignReading(sign=Sign.CPU if size_vram <= 0 else Sign.SPLIT, detail=detail)


def memory_sign(size: int, before: int, after: int) -> SignReading:
    """Of the memory used on all devices before and after the load of a model of `size` bytes."""
    if size <= 0:
        return SignReading(sign=Sign.UNKNOWN, detail=f"no size to hold a rise against ({size} bytes)")
    rise = after - before
    detail = f"device memory rose by {gigabytes(rise)} across the load of {gigabytes(size)} ({rise / size:.0%})"
    if rise < NOISE * size:
        return SignReading(sign=Sign.CPU, detail=detail)
    if rise <= CONTEXT_BYTES:
        return SignReading(sign=Sign.UNKNOWN, detail=f"{detail}; a CUDA context alone takes as much")
    return SignReading(sign=Sign.GPU if rise >= RISE * size else Sign.SPLIT, detail=detail)


def resident_sign(size: int, used: int) -> SignReading:
    """Of a model that was loaded before anybody looked: the devices hold no more of it than the `used` bytes of all processes.

    So it can be denied that the model is there, and never confirmed.
    """
    if size <= 0 or used >= RISE * size:
        detail = "the model was loaded already, so no rise could be seen; `ffe models doctor --reload` loads it anew"
        return SignReading(sign=Sign.UNKNOWN, detail=detail)
    detail = f"the devices have {gigabytes(used)} in use, the loaded model takes {gigabytes(size)}"
    return SignReading(sign=Sign.CPU if used < NOISE * size else Sign.SPLIT, detail=detail)


def speed_sign(tokens_per_second: float | None, floor: float | None) -> SignReading:
    """Of the generation speed of a warm call. Below the floor is CPU: not wholly on the GPU, whatever else."""
    if tokens_per_second is None:
        return SignReading(sign=Sign.UNKNOWN, detail="the runtime gave no generation time")
    if floor is None:
        detail = f"{tokens_per_second:.1f} tokens/s; no floor is set (FFE_PLACEMENT__MIN_TOKENS_PER_SECOND)"
        return SignReading(sign=Sign.UNKNOWN, detail=detail)
    sign = Sign.GPU if tokens_per_second >= floor else Sign.CPU
    return SignReading(sign=sign, detail=f"{tokens_per_second:.1f} tokens/s, floor {floor:g}")


def gigabytes(size: int) -> str:
    """Decimal gigabytes, as the sizes of models are given."""
    return f"{size / 1e9:.2f} GB"
