"""The page of one job, down to one object."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from . import queries, tables
from .migrations import errors_by_code, job_variable, progress_by_type, type_variable, window_variable
from .parts import COUNT, PERCENT, SECONDS, Column, Page, datasource_variable, graph, number, query_variable, rows

# An object without a database or a table has these labels empty.
ANY = ".*"
CHOSEN = ',src_db=~"$src_db",src_tb=~"$src_tb"'

# How many objects a graph or table shows.
MOST = 20


def database_variable():
    """The databases of the job."""
    query = f"label_values(drs_object_progress{{{queries.JOB_TYPE}}}, src_db)"
    return query_variable("src_db", "Database", "The database that objects come from", query, everything=ANY)


def object_variable():
    """The objects of the job."""
    query = f'label_values(drs_object_progress{{{queries.JOB_TYPE},src_db=~"$src_db"}}, src_tb)'
    return query_variable("src_tb", "Object", "A table, view or other object of that database", query, everything=ANY)


def page():
    """The whole page."""
    back = dashboard.DashboardLink("All migrations").url("/d/drs-migrations/drs-migrations?var-datasource=${datasource}")
    page = Page(
        "DRS job", "drs-job",
        "One migration on Huawei Cloud DRS, down to a single object: choose a database and an object above.",
        [
            datasource_variable(), job_variable(multi=False), type_variable(),
            database_variable(), object_variable(), window_variable(),
        ],
        [back.type(model.DashboardLinkType.LINK).keep_time(True).tooltip("All migrations")],
    )
    page.line(4, (24, facts()))
    page.line(4, *[(4, panel) for panel in [*tables.headline(), last_change(), tables.oldest_data()]])
    page.line(9, (8, progress_by_type()), (16, progress_over_time()))
    page.line(8, (12, tables.states_over_time()), (12, time_left()))
    page.heading("Objects")
    page.line(10, (24, course_of_objects()))
    page.line(9, (24, chosen_objects()))
    page.line(9, (24, tables.stalled_objects()))
    page.line(9, (24, tables.slowest_objects()))
    page.heading("Can this be trusted?")
    page.line(8, (12, time_since_change()), (12, age_of_data()))
    page.line(8, (8, errors_by_code()), (8, polls()), (8, tables.regressions()))
    return page


def facts():
    """What DRS says of the job as a whole."""
    info = "job, name, account, region, job_type, engine_type, task_type"
    return rows(
        "What DRS says of this job",
        "Progress, time left and delay are the cloud's own view of the whole job; what it does not tell is empty.",
        [
            queries.latest(info, "drs_job_info", of=queries.JOB),
            queries.status(),
            queries.of_job("drs_job_progress"),
            queries.of_job("drs_job_remaining_seconds"),
            queries.of_job("drs_job_incremental_delay_seconds"),
        ],
        [
            Column("name", "Job"),
            Column("status", "State", width=260),
            Column("Value #C", "Progress", PERCENT, bar=True),
            Column("Value #D", "Time left", SECONDS, width=110, decimals=1),
            Column("Value #E", "Delay of increments", SECONDS, width=170),
            Column("job_type", "Kind", width=110),
            Column("task_type", "Task"),
            Column("engine_type", "Engine", width=100),
            Column("account", "Account", width=110),
            Column("region", "Region"),
            Column("job", "Job id"),
        ],
        tables.NOTHING, hidden=["Value #A", "Value #B"],
    )


def last_change():
    """Is it moving?"""
    return number(
        "Last change",
        "The time since any object last moved. Where nothing was seen to move: since the exporter first saw it. A job that is "
        "done moves no more.",
        f"time() - max({queries.per_type('drs_last_change_timestamp_seconds')})", SECONDS, [(None, "blue")],
        tables.NO_NUMBER,
    )


def progress_over_time():
    """How each type goes on."""
    return graph(
        "Progress over time",
        "Mean percent of all objects of a type. A flat line below 100 is what does not move; a gap is a time without fresh data.",
        [(queries.progress("type"), "{{type}}")], PERCENT, tables.NOTHING, maximum=100,
    )


def time_left():
    """Whether the end comes nearer."""
    return graph(
        "Time left",
        "At the recent pace of each type, and by DRS's own reckoning of the whole job. No line where it cannot be known.",
        [
            (f"max by (type) ({queries.per_type('drs_eta_seconds')})", "{{type}}"),
            (f"max({queries.of_job('drs_job_remaining_seconds')})", "whole job, by DRS"),
        ],
        SECONDS, "Not known: nothing moves, or it has just begun",
    )


def course_of_objects():
    """The course of the chosen objects."""
    return graph(
        "Course of the chosen objects",
        f"Percent of single objects: those that are chosen above, and of them the {MOST} that are furthest behind. "
        "Objects that the exporter leaves out are not here.",
        [(queries.Objects(CHOSEN).course(MOST), "{{src_db}}.{{src_tb}} ({{type}})")],
        PERCENT, "No such object is listed, or its data was too old and was let go", maximum=100,
    )


def chosen_objects():
    """Where the chosen objects are."""
    return rows(
        "Chosen objects",
        f"Where the objects are that are chosen above, the {MOST} that are furthest behind. Look at one by its name. "
        "Objects that the exporter leaves out, by `objects` or `max_series_per_job`, are not here.",
        [queries.Objects(CHOSEN).furthest_behind(MOST)],
        [
            *tables.object_columns(),
            Column("Value", "Progress", PERCENT, width=160, bar=True),
            Column("job", "Job id", width=100),
        ],
        "No such object is listed, or its data was too old and was let go", sort="Progress",
    )


def time_since_change():
    """What stands still."""
    return graph(
        "Time since the last change by type",
        "Since any object of a type last moved. It climbs where nothing moves, also where all is done.",
        [(f"time() - max by (type) ({queries.per_type('drs_last_change_timestamp_seconds')})", "{{type}}")],
        SECONDS, tables.NOTHING,
    )


def age_of_data():
    """Whether DRS still tells something new."""
    return graph(
        "Age of the data by type",
        "By DRS's own clock; where a listing was too old and was let go, the time since the last one. It climbs while polls "
        "fail. Types that are done are polled every ten minutes.",
        [(queries.age(queries.data_time(), "type"), "{{type}}")], SECONDS, tables.NOTHING,
    )


def polls():
    """How the polls end."""
    return graph(
        "Polls by outcome",
        "Polls of all types, by how they ended.",
        [(queries.new("drs_polls_total", "outcome", "$__rate_interval"), "{{outcome}}")], COUNT, tables.NOTHING,
        as_bars=True, colors={"success": "green", "error": "red"},
    )
