"""`python -m tests.benchmarks.wav2vec2_torch FOLDER THREADS`: transformers' own model on PyTorch, the benchmark's peer.

A process of its own: PyTorch and TensorFlow each bring an LLVM, and one process cannot hold both. Weights are random,
which changes no speed. FOLDER holds batches of normalised signals as `NAME-*.npy`; for each NAME that is read from
standard input, one line tells the wall and CPU seconds that they took, one after the other.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """The command. Ends with 3 where PyTorch is not installed."""
    try:
        import torch
        from transformers import Wav2Vec2Config, Wav2Vec2Model
    except ImportError:
        raise SystemExit(3) from None
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    model = Wav2Vec2Model(Wav2Vec2Config()).eval()
    print(f"PyTorch {torch.__version__}", flush=True)
    for line in sys.stdin:
        batches = [torch.from_numpy(np.load(path)) for path in sorted(folder.glob(f"{line.strip()}-*.npy"))]
        wall, cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            for batch in batches:
                model(batch).last_hidden_state.numpy()
        print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)


if __name__ == "__main__":
    main()
