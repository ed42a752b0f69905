"""Tables and panels that both pages have."""

from grafana_foundation_sdk.models import dashboard as model

from . import queries
from .parts import (
    AGE, COUNT, DONE_AT_100, LEFT, NONE_IS_GOOD, PERCENT, SECONDS,
    Column, data_link, graph, number, rows,
)

HERE = "var-datasource=${datasource}&${__url_time_range}"
TO_JOB = "/d/drs-job/drs-job?" + HERE + "&var-job=${%s.job:percentencode}"
TO_OBJECT = (
    TO_JOB % "__data.fields"
    + "&var-type=${__data.fields.type:percentencode}"
    + "&var-src_db=${__data.fields.src_db:percentencode}&var-src_tb=${__data.fields.src_tb:percentencode}"
)
JOB_LINK = [data_link("Look at this job", TO_JOB % "__data.fields")]
OBJECT_LINK = [data_link("Look at this object", TO_OBJECT)]

# How many objects a table shows.
MOST = 20

STATE_COLORS = {"not_started": "#6e7687", "in_progress": "blue", "stalled": "red", "completed": "green"}

DONE = [model.ValueMap(options={"0": model.ValueMappingResult(text="Done", color="green", index=0)})]
DONE_COLUMN = [{"type": "value", "options": {"0": {"text": "Done", "color": "green", "index": 0}}}]
NOTHING = "No data: Prometheus has scraped nothing of these jobs"
# A number grows as large as its text is short.
NO_NUMBER = "No data"
NO_ERROR = "No error in this time, or no data"


def headline():
    """The answers to: is it moving, when is it done, is this number fresh."""
    return [
        number(
            "Progress",
            "Mean percent of all objects, each counting once. Types whose data was too old and let go do not count.",
            queries.progress(), PERCENT, DONE_AT_100, NO_NUMBER, decimals=1,
        ),
        number(
            "Objects left",
            "Objects below 100 percent.",
            queries.left(), COUNT, LEFT, NO_NUMBER,
        ),
        number(
            "Stalled objects",
            "Objects between 1 and 99 percent that have not moved for poll.stall_after, half an hour by default.",
            queries.stalled(), COUNT, NONE_IS_GOOD, NO_NUMBER,
        ),
        number(
            "Time left",
            "At the recent pace, for the type that takes longest. Stalled objects are left out, and so are types whose time "
            "cannot be known: nothing moves, or less than 1 percent is done.",
            queries.time_left(), SECONDS, LEFT, "Not known", mappings=DONE,
        ),
    ]


def oldest_data():
    """Is this number fresh?"""
    return number(
        "Oldest data",
        "The age of the oldest listing in use, by DRS's own clock. Where a listing was too old and was let go: the time since "
        "the last one. Types that are done are polled every ten minutes, so more than a quarter of an hour is late.",
        queries.age(queries.data_time()), SECONDS, AGE, NO_NUMBER,
    )


def states_over_time():
    """How the objects go through their states."""
    return graph(
        "Objects by state",
        "Stalled objects are not counted as in progress. A gap is a time without fresh data.",
        [(queries.total(queries.latest("job, type, state", "drs_objects_by_state"), "state"), "{{state}}")],
        COUNT, NOTHING, stacked=True, colors=STATE_COLORS,
    )


def regressions():
    """What should not happen in a migration."""
    window = "$__rate_interval"
    return graph(
        "Steps back and lost objects",
        "Steps back: a percent fell. Lost: an object below 100 percent is no longer listed, or its job is gone. Nothing of "
        "either is how it should be.",
        [
            (queries.grown("drs_progress_regressions_total", window), "steps back"),
            (queries.grown("drs_objects_disappeared_total", window), "lost"),
        ],
        COUNT, NOTHING, as_bars=True,
    )


def object_columns():
    """What an object is."""
    return [
        Column("src_tb", "Object", links=OBJECT_LINK),
        Column("src_db", "Database", width=130, links=OBJECT_LINK),
        Column("dst_tb", "To object"),
        Column("dst_db", "To database", width=130),
        Column("type", "Type", width=130),
    ]


def stalled_objects():
    """What is stuck."""
    return rows(
        "Objects that stand still",
        f"Objects between 1 and 99 percent that are where they were before (choose above how long), the {MOST} furthest behind. "
        "Only of types of which the exporter has seen objects stand; what still waits at 0 is not among them.",
        [queries.named(queries.Objects().standing_still(MOST))],
        [
            Column("name", "Job", width=180, links=JOB_LINK),
            *object_columns(),
            Column("Value", "Progress", PERCENT, width=160, bar=True),
            Column("job", "Job id", width=100),
        ],
        "Nothing stands still, or Prometheus has watched for less than that time", sort="Progress",
    )


def slowest_objects():
    """What will be done last."""
    objects = queries.Objects()
    return rows(
        "Slowest objects",
        f"The {MOST} objects that move and have gained least (choose above in how long), and how long they take from here if "
        "they go on like this. What has begun since then is not among them.",
        [
            queries.named(objects.slowest_now(MOST)),
            queries.named(objects.slowest(MOST)),
            queries.named(objects.slowest_left(MOST)),
        ],
        [
            Column("name", "Job", width=180, links=JOB_LINK),
            *object_columns(),
            Column("Value #A", "Progress", PERCENT, width=160, bar=True),
            Column("Value #B", "Gained", PERCENT, width=90),
            Column("Value #C", "Time left", SECONDS, width=110, decimals=1),
            Column("job", "Job id", width=100),
        ],
        "Nothing has moved all that time, or Prometheus has watched for less", sort="Gained",
    )


def jobs():
    """One line for each job."""
    return rows(
        "Jobs",
        "Each job with its state in DRS's own words. Look at one by its name.",
        [
            queries.named(f"group by (job) (drs_poll_duration_seconds{{{queries.JOB}}})"),
            queries.status(),
            queries.progress("job"),
            queries.left("job"),
            queries.stalled("job"),
            queries.time_left("job"),
            f"time() - {queries.latest('job', 'drs_last_change_timestamp_seconds')}",
            queries.age(queries.data_time(), "job"),
            queries.unreadable("job"),
        ],
        [
            Column("name", "Job", links=JOB_LINK),
            Column("status", "State", width=260),
            Column("Value #C", "Progress", PERCENT, bar=True),
            Column("Value #D", "Objects left", COUNT, width=110, steps=LEFT),
            Column("Value #E", "Stalled", COUNT, width=90, steps=NONE_IS_GOOD),
            Column("Value #F", "Time left", SECONDS, width=110, decimals=1, mappings=DONE_COLUMN),
            Column("Value #G", "Last change", SECONDS, width=120, decimals=1),
            Column("Value #H", "Oldest data", SECONDS, width=120, decimals=1, steps=AGE),
            Column("Value #I", "Types that fail", COUNT, width=120, steps=NONE_IS_GOOD),
            Column("job", "Job id"),
        ],
        NOTHING, hidden=["Value #A", "Value #B"], sort="Job",
    )
