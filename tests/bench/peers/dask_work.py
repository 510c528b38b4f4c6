"""Functions of the tasks: in a module of their own, which workers import."""
import time


def noop(x):
    return x


def inc(x):
    return x + 1


def last(xs):
    return xs[-1]


def busy(seconds, *inputs):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return 0


def idle(seconds, *inputs):
    time.sleep(seconds)
    return 0


def make_array(n, seed=0):
    import numpy
    return numpy.random.default_rng(seed).integers(0, 255, n, dtype=numpy.uint8)


def touch(array):
    return len(array)


def ten_kilobytes(i):
    return bytes([i % 256]) * 10_000


def make_bytes(n, seed, seconds, *inputs):
    """A value of n bytes after so long; what the placement shapes are made of."""
    time.sleep(seconds)
    return seed.to_bytes(8, "little") + bytes(max(0, n - 8))


def make_bytes_unevenly(n, seed, seconds, *inputs):
    """The same, on a machine where one worker is five times as slow."""
    from distributed import get_worker
    return make_bytes(n, seed, seconds * (5 if str(get_worker().name) == "w0" else 1))
