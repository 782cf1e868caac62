"""`dora.build` and `dora.run`: the `dora` command, run as a child process."""


def build(dataflow_path, uv=None, coordinator_addr=None, coordinator_port=None, force_local=False):
    """Builds the nodes of a dataflow, as `dora build` does.

    Raises `RuntimeError` with the last lines of the command when it fails.
    """
    args = ["build", str(dataflow_path)]
    if uv:
        args.append("--uv")
    if coordinator_addr is not None:
        args += ["--coordinator-addr", str(coordinator_addr)]
    if coordinator_port is not None:
        args += ["--coordinator-port", str(coordinator_port)]
    if force_local:
        args.append("--local")
    _dora(args)


def run(dataflow_path, uv=None, stop_after=None):
    """Runs a dataflow until its nodes end, as `dora run` does; `stop_after` is in seconds.

    Raises `RuntimeError` with the last lines of the command when it fails.
    """
    args = ["run", str(dataflow_path)]
    if uv:
        args.append("--uv")
    if stop_after is not None:
        args += ["--stop-after", _duration(stop_after)]
    _dora(args)


def _duration(seconds):
    millis = round(float(seconds) * 1000)
    if millis < 0:
        raise ValueError(f"stop_after must be 0 seconds or more, not {seconds}")
    return f"{millis}ms"


def _command():
    """Path of the `dora` command: beside the interpreter, then in PATH."""
    import os
    import shutil
    import sys

    beside = os.path.dirname(sys.executable)
    found = (shutil.which("dora", path=beside) if beside else None) or shutil.which("dora")
    if found is None:
        raise RuntimeError(
            f"the `dora` command is neither in {beside} nor in PATH; install it with `pip install dora-rs-cli`"
        )
    return found


def _environment():
    """Nodes run in the interpreter that runs this, also when nobody activated its virtual environment."""
    import os
    import sys

    env = dict(os.environ)
    if sys.prefix != sys.base_prefix:
        env["VIRTUAL_ENV"] = sys.prefix
        env["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), env.get("PATH", os.defpath)])
    return env


def _dies_with_parent():
    """What a child calls before it becomes the command, so that it does not outlive this process."""
    import ctypes
    import signal

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_death_signal = 1

    def prepare():
        prctl(set_death_signal, signal.SIGTERM)

    return prepare


class _Waiting:
    """Waits for a child process so that no signal is lost.

    One whose handler runs just before the main thread falls asleep does not wake it by itself, and neither does one that the kernel gives
    to another thread; so each is written into the pipe that we sleep on, as is the end of the child.
    """

    def __init__(self, child):
        import os
        import signal
        import threading

        self.bell, self.rope = os.pipe()
        os.set_blocking(self.rope, False)
        self.ended = threading.Event()

        def watch():
            child.wait()
            self.ended.set()
            try:
                os.write(self.rope, b"\0")
            except BlockingIOError:
                # So many signals have come that it is ringing anyway.
                pass

        self.watcher = threading.Thread(target=watch, daemon=True)
        self.watcher.start()
        try:
            self.before = signal.set_wakeup_fd(self.rope, warn_on_full_buffer=False)
        except ValueError:
            # Not the main thread, which alone is told of signals.
            self.before = None

    def wait(self):
        """Returns when the child has ended; raises what signal handlers raise."""
        import os

        while not self.ended.is_set():
            os.read(self.bell, 64)

    def close(self):
        import os
        import signal

        if self.before is not None:
            signal.set_wakeup_fd(self.before)
        # Not before the child has ended: its watcher rings.
        self.watcher.join()
        os.close(self.bell)
        os.close(self.rope)


def _dora(args):
    import signal
    import subprocess
    import sys
    import threading
    from collections import deque

    last = deque(maxlen=20)
    child = subprocess.Popen(
        [_command()] + args,
        env=_environment(),
        stderr=subprocess.PIPE,
        # In a group of its own: Ctrl-C reaches it once, through us, and not a second time from the terminal.
        start_new_session=True,
        preexec_fn=_dies_with_parent() if sys.platform == "linux" else None,
    )

    def echo():
        for line in child.stderr:
            text = line.decode(errors="replace")
            last.append(text.rstrip())
            sys.stderr.write(text)

    reader = threading.Thread(target=echo, daemon=True)
    reader.start()
    interrupted = None
    waiting = _Waiting(child)
    while True:
        try:
            waiting.wait()
            break
        except KeyboardInterrupt as error:
            # The first stops gracefully, further ones are for the command to judge.
            interrupted = error
            child.send_signal(signal.SIGINT)
        except BaseException:
            child.terminate()
            waiting.close()
            raise
    waiting.close()
    code = child.returncode
    reader.join(timeout=5)
    child.stderr.close()
    if interrupted is not None:
        raise interrupted
    if code != 0:
        tail = "".join(f"\n  {line}" for line in last)
        raise RuntimeError(f"`dora {' '.join(args)}` failed with exit code {code}{tail}")
