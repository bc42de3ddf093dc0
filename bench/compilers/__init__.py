"""What the compilers of TPUs and GPUs make of the losses, on a machine that has neither.

The compilers themselves come with pip, and need no accelerator: `make bench-compilers` installs
and runs them. Of the mean of each loss, with its gradient in the first argument, compiled for TPU
v5e, TPU v6e and H100, this prints

- traffic: the memory that the kernels read and write, over the least possible, each input read
  once and the gradient written once;
- temp: temporary memory, in percent of the inputs;
- kernels: how many are started;
- cycles, of a TPU: instruction bundles times iterations, in millions, which tells what the
  arithmetic costs where `traffic` is at its least. A v5e takes about 1.5 thousand million a second.

They are counts, not times; they repeat exactly. What misses its limit in `limits.py` is bold.

    python -m bench.compilers --only focal                 # losses whose name holds this
    python -m bench.compilers --only giou --on v5e H100    # and only for these
    python -m bench.compilers --only focal --hlo /tmp/hlo  # write the compiled programs, to read
    python -m bench.compilers --json output/compilers.json # write the numbers
"""

import os

# On a CPU JAX starts nothing else, and libtpu asks no cloud where it is.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
os.environ.setdefault("TPU_LOG_DIR", "disabled")
os.environ.setdefault("TPU_STDERR_LOG_LEVEL", "3")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
