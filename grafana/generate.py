#!/usr/bin/env python3
"""Writes the pages of Grafana into `dashboards`, or into the folder that is named.

It needs Grafana's SDK: pip install 'grafana-foundation-sdk==1769699379!11.6.0'
"""

import sys
from pathlib import Path

from generator import job, migrations

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "dashboards"
for name, page in [("drs-migrations", migrations.page()), ("drs-job", job.page())]:
    (folder / f"{name}.json").write_text(page.json(), encoding="utf-8")
