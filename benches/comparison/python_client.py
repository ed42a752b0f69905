"""What an exporter is that Python's `prometheus_client` makes: reads a text of metrics, and serves its objects for ever."""

import re
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Gauge, make_wsgi_app

SAMPLE = re.compile(r"^drs_object_progress\{(.*)\} (\S+)$")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
NAMES = ("job", "type", "src_db", "src_tb", "dst_db", "dst_tb")


class Silent(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, *_):
        pass


def main():
    registry = CollectorRegistry()
    gauge = Gauge("drs_object_progress", "Percent done of one object.", NAMES, registry=registry)
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in file:
            sample = SAMPLE.match(line)
            if sample:
                labels = dict(LABEL.findall(sample[1]))
                gauge.labels(*(labels[name] for name in NAMES)).set(float(sample[2]))
    server = make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=Silent)
    print(server.server_port, flush=True)
    server.serve_forever()


main()
