"""The programs that are compared: how each is started, told apart and ended, and what Linux knows of it."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 120.0
PYTHON = "/usr/bin/python3"
JOBS = 10
PAGE_SIZE = 1000
# How each seventh job has two children, and which of five fates they share: so many simulated jobs have ten that last.
SIMULATED_JOBS = 25
LASTING = re.compile(r"\{id: ((?:moving|stalling)-[0-9a-f]+),")


class Failed(Exception):
    """Something did not run; the text says what."""


class Programs:
    """All programs of one comparison, in a folder of their own; they end with it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="drs-exporter-compare-")
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in reversed(self.running):
            program.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

    def start(self, name, command):
        program = Program(name, command, self.path(name))
        self.running.append(program)
        return program


class Program:
    """A running program. What it says goes into files."""

    def __init__(self, name, command, path):
        self.name, self.path = name, path
        # The proxies of whoever runs this are not meant for it.
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        with open(f"{path}.out", "wb") as out, open(f"{path}.log", "wb") as log:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environment)
        self.pid, self.port = self.child.pid, None

    def end(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def said(self, suffix="log"):
        with open(f"{self.path}.{suffix}", encoding="utf-8", errors="replace") as file:
            return file.read()

    def until(self, what, ask, seconds=PATIENCE):
        """Asks until the answer is not nothing."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                raise Failed(f"{self.name} ended with {self.child.returncode}: {self.said()[-2000:]}")
            answer = ask()
            if answer:
                return answer
            time.sleep(0.05)
        raise Failed(f"waited {seconds:g} s in vain for {what} of {self.name}: {self.said()[-2000:]}")

    def cpu(self):
        """Seconds of CPU so far, of all its threads: the clock of another process, as clock_getcpuclockid(3) makes it."""
        return time.clock_gettime(~self.pid << 3 | 2)

    def memory(self):
        """Bytes that are resident, now and at most."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            kilobytes = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", file.read(), re.MULTILINE))
        return int(kilobytes["VmRSS"]) * 1024, int(kilobytes["VmHWM"]) * 1024

    def get(self, path, headers=None):
        """Status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def listens(self):
        """Whether somebody listens at its port."""
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", self.port)) == 0


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Simulator:
    """The simulated DRS, and ten jobs of it that neither fail nor end."""

    def __init__(self, programs, executable, objects, name="simulator", flags=()):
        flags = ["--listen", "127.0.0.1:0", "--jobs", str(SIMULATED_JOBS), "--objects", str(objects // JOBS), *flags]
        self.program = programs.start(name, [executable, "simulate", *flags])
        self.objects = objects
        enough = lambda said: said if len(LASTING.findall(said)) >= JOBS else None
        config = self.program.until("a configuration with ten jobs that last", lambda: enough(self.program.said("out")))
        self.program.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", config)[1])
        self.address = f"http://127.0.0.1:{self.program.port}"
        self.project = re.search(r"project_id: (\S+)", config)[1]
        self.token = re.search(r"auth: \{token: (.+)\}", config)[1]
        self.jobs = LASTING.findall(config)[:JOBS]
        self.account = config.split("    jobs:")[0]

    def config(self, interval):
        """A configuration of the exporter that follows the tables of the ten jobs."""
        jobs = [f"      - {{id: {job}, types: [table], interval: {interval}s}}\n" for job in self.jobs]
        # The cloud's view of whole jobs is left out, so that what is asked is tables and nothing else.
        return f"{self.account}    job_view: false\n    jobs:\n{''.join(jobs)}"

    def pages(self):
        """The requests of one refresh."""
        return JOBS * -(-self.objects // JOBS // PAGE_SIZE)

    def requests(self):
        """How often it was asked."""
        return sum(second["requests"] for second in json.loads(self.program.get("/simulator/requests")[2])["seconds"])

    def rows(self):
        """All objects as it lists them: job, and the row."""
        headers = {"X-Auth-Token": self.token}
        for job in self.jobs:
            for offset in range(0, self.objects // JOBS, PAGE_SIZE):
                path = f"/v5/{self.project}/jobs/{job}/progress-data/table?limit={PAGE_SIZE}&offset={offset}"
                for row in json.loads(self.program.get(path, headers)[2])["flow_compare_data"]:
                    yield job, row


def exporter(programs, executable, config, name="exporter", flags=()):
    file = programs.write(f"{name}.yml", config)
    command = [executable, f"--config.file={file}", "--web.listen-address=127.0.0.1:0", *flags]
    program = programs.start(name, command)
    listening = re.compile(r"address=127\.0\.0\.1:(\d+)")
    program.port = int(program.until("the address", lambda: listening.search(program.said()))[1])
    return program


def nginx(programs, text, packed):
    """nginx with the two bodies as files, ready-made."""
    port = free_port()
    for folder in ("www", "nginx-temp"):
        os.makedirs(programs.path(folder), exist_ok=True)
    os.chmod(programs.folder, 0o755)
    programs.write("www/text", text)
    programs.write("www/gzip", packed)
    temporary = "".join(
        f"  {kind}_temp_path {programs.path('nginx-temp')};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = f"""daemon off;
{"user root;" if os.getuid() == 0 else ""}
worker_processes 1;
pid {programs.path("nginx.pid")};
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type 'text/plain; version=0.0.4; charset=utf-8';
{temporary}  server {{
    listen 127.0.0.1:{port};
    root {programs.path("www")};
    location = /text {{}}
    location = /gzip {{ add_header Content-Encoding gzip; }}
  }}
}}
"""
    file = programs.write("nginx.conf", config)
    program = programs.start("nginx", [nginx_executable(), "-c", file, "-e", programs.path("nginx.errors")])
    program.port = port
    program.until("the port", program.listens)
    return program


def nginx_executable():
    """Debian keeps it where only root looks."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def python_client(programs, text):
    """Python's `prometheus_client` with the same series."""
    here = os.path.dirname(os.path.abspath(__file__))
    program = programs.start("python", [PYTHON, os.path.join(here, "python_client.py"), programs.write("python.txt", text)])
    program.port = int(program.until("the port", lambda: program.said("out").strip()))
    return program


def minimal(executable, simulator, rounds):
    """Seconds of CPU that the least refresh takes, from a program that is started for so many."""
    command = [executable, simulator.address, simulator.project, simulator.token, str(rounds), *simulator.jobs]
    process = os.posix_spawn(executable, command, {}, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, used = os.wait4(process, 0)
    if status != 0:
        raise Failed(f"the minimal program ended with {os.waitstatus_to_exitcode(status)}")
    return (used.ru_utime + used.ru_stime) / rounds


class Prometheus:
    """A real Prometheus that scrapes the exporter."""

    def __init__(self, programs, target):
        self.target = target
        self.programs = programs
        self.program = None

    def configure(self, interval, timeout):
        scrape = f"job_name: drs, honor_labels: true, scrape_interval: {interval}s, scrape_timeout: {timeout}s"
        config = f"scrape_configs: [{{{scrape}, static_configs: [{{targets: ['127.0.0.1:{self.target.port}']}}]}}]\n"
        file = self.programs.write("prometheus.yml", config)
        if self.program:
            self.program.child.send_signal(signal.SIGHUP)
            return
        port = free_port()
        command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={self.programs.path('tsdb')}"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        self.program = self.programs.start("prometheus", command)
        self.program.port = port
        self.program.until("the port", self.program.listens)

    def samples(self, metric):
        """What was scraped in the last hour: when, and the value."""
        status, _, body = self.program.get(f"/api/v1/query?query={metric}%7Bjob%3D%22drs%22%7D%5B1h%5D")
        if status != 200:
            return []
        series = json.loads(body)["data"]["result"]
        return [(at, float(value)) for one in series for at, value in one["values"]]


def complain(text):
    print(text, file=sys.stderr, flush=True)
