"""How each figure is measured."""

import hashlib
import re
import socket
import statistics
import time
import zlib

from .programs import PATIENCE, Failed

BUFFER = memoryview(bytearray(1 << 20))
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
# As much CPU, in seconds, is no refresh: a timer, or the tail of an answer.
NOTHING = 0.001
# The state of an open connection in /proc/net/tcp.
ESTABLISHED = "01"


def connected(port, receive_buffer=None):
    asking = socket.socket()
    if receive_buffer:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    asking.settimeout(PATIENCE)
    asking.connect(("127.0.0.1", port))
    return asking


def request(path, encoding):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {encoding}\r\nConnection: close\r\n\r\n".encode()


def scrape(port, path, encoding):
    """Seconds from before the connection to the last byte, and the status. The same few calls for every server."""
    asked = request(path, encoding)
    begin = time.perf_counter()
    with connected(port) as asking:
        asking.sendall(asked)
        got = asking.recv_into(BUFFER)
        head_ends = 0
        while got and (head_ends := bytes(BUFFER[:got]).find(b"\r\n\r\n") + 4) < 4:
            more = asking.recv_into(BUFFER[got:])
            got = got + more if more else 0
        if not got:
            raise Failed(f"port {port} closed without an answer")
        head = bytes(BUFFER[:head_ends])
        length = LENGTH.search(head)
        # Without a length, the body ends with the connection.
        left = int(length[1]) - (got - head_ends) if length else -1
        while left and (more := asking.recv_into(BUFFER)):
            left -= more
    taken = time.perf_counter() - begin
    if length and left:
        raise Failed(f"port {port} closed {left} bytes too early")
    return taken, int(head.split(None, 2)[1])


def timed(port, path, encoding):
    taken, status = scrape(port, path, encoding)
    if status != 200:
        raise Failed(f"port {port} answered {status}")
    return taken


def median_of(times, port, path, encoding):
    timed(port, path, encoding)
    return statistics.median(timed(port, path, encoding) for _ in range(times))


class Quiet:
    """Tells when no refresh is under way: while the simulator does nothing, and the exporter did nothing before."""

    def __init__(self, simulator, exporter):
        self.simulator, self.exporter = simulator.program, exporter
        self.rested = None

    def wait(self, seconds=PATIENCE):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            before = self.simulator.cpu(), self.exporter.cpu()
            time.sleep(0.03)
            after = self.simulator.cpu(), self.exporter.cpu()
            if after[0] - before[0] < NOTHING and after[1] - before[1] < NOTHING:
                self.rested = after[0]
                return
        raise Failed(f"the exporter was never at rest for {seconds:g} s: its interval is too short for this machine")

    def lasts(self):
        """Whether it was quiet from the wait until now."""
        return self.simulator.cpu() - self.rested < NOTHING


def idle_scrapes(quiet, times, ways, seconds=300.0):
    """The median of each way (a port, a path and an encoding), in turns, while no refresh is under way."""
    deadline = time.monotonic() + seconds
    taken = {way: [] for way in ways}
    quiet.wait()
    for way in ways:
        timed(*way)
    for _ in range(times):
        for way in ways:
            while True:
                if time.monotonic() > deadline:
                    raise Failed(f"{times} scrapes at rest were not to be had in {seconds:g} s")
                one = timed(*way)
                if quiet.lasts():
                    taken[way].append(one)
                    break
                quiet.wait()
    return [statistics.median(taken[way]) for way in ways]


def busy_scrapes(quiet, times, ways, seconds):
    """How long scrapes of each way take, in turns, while a refresh is under way; fewer where there were not so many in the
    time."""
    deadline = time.monotonic() + seconds
    taken = [[] for _ in ways]
    while min(map(len, taken)) < times and time.monotonic() < deadline:
        for way, of_way in zip(ways, taken):
            before = quiet.simulator.cpu()
            one = timed(*way)
            # Work between two pages, where the simulator waits, belongs to the refresh as well.
            time.sleep(0.004)
            if quiet.simulator.cpu() - before > 0.0002:
                of_way.append(one)
    return taken


def p99(taken):
    return sorted(taken)[int(len(taken) * 0.99)] if taken else None


def bodies(exporter):
    """The body as text and as gzip, both at one time; they must be the same in all that is told of objects."""
    for _ in range(20):
        text = exporter.get("/metrics", {"Accept-Encoding": "identity"})
        packed = exporter.get("/metrics", {"Accept-Encoding": "gzip"})
        if (text[0], packed[0], packed[1]["Content-Encoding"]) != (200, 200, "gzip"):
            raise Failed(f"the exporter answered {text[0]} and {packed[0]}")
        unpacker = zlib.decompressobj(31)
        unpacked = unpacker.decompress(packed[2])
        if not unpacker.eof or unpacker.unused_data:
            raise Failed("the gzip body is not one whole member")
        if objects(text[2]) == objects(unpacked):
            return text[2], packed[2]
    raise Failed("text and gzip differ in what they tell of objects")


def objects(text):
    """The lines of objects, as they come."""
    return [line for line in text.split(b"\n") if line.startswith(b"drs_object_progress{")]


def digest(lines):
    """The SHA-256 of lines, whatever their order."""
    return hashlib.sha256(b"\n".join(sorted(lines))).hexdigest()


def listed(simulator):
    """The lines that must be served for what the simulator lists, by nobody's code but this."""
    for job, row in simulator.rows():
        names = ",".join(f'{key}="{row[key]}"' for key in ("src_db", "src_tb", "dst_db", "dst_tb"))
        yield f'drs_object_progress{{job="{job}",type="table",{names}}} {row["progress"]}'.encode()


def held(port, readers):
    """How many of the readers' connections the server has not closed."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split()[1:4] for line in file.readlines()[1:]]
    return sum(
        1
        for local, remote, state in rows
        if state == ESTABLISHED and int(local.split(":")[1], 16) == port and int(remote.split(":")[1], 16) in readers
    )


def stalled(exporter, readers, encoding, seconds=90.0):
    """What it does to the exporter when so many ask and do not read: bytes that it grows by, seconds until each is closed
    (nothing where that did not happen), and how the next one fares: seconds, and status or why there is none."""
    before, _ = exporter.memory()
    most = before
    begin = time.monotonic()
    asking = [connected(exporter.port, receive_buffer=4096) for _ in range(readers)]
    try:
        for one in asking:
            one.sendall(request("/metrics", encoding))
        time.sleep(2)
        most = max(most, exporter.memory()[0])
        next_asked = time.monotonic()
        try:
            next_one = scrape(exporter.port, "/metrics", encoding)
        except (OSError, Failed) as error:
            next_one = time.monotonic() - next_asked, str(error)
        ports = {one.getsockname()[1] for one in asking}
        closed = None
        while closed is None and time.monotonic() - begin < seconds:
            most = max(most, exporter.memory()[0])
            if not held(exporter.port, ports):
                closed = time.monotonic() - begin
            time.sleep(0.1)
    finally:
        for one in asking:
            one.close()
    return {"readers": readers, "growth": most - before, "closed": closed, "next": next_one}
