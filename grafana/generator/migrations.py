"""The page of all migrations: what moves, what is stuck, when it is done, and whether that is fresh."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

from . import queries, tables
from .parts import (
    BYTES, COUNT, LEFT, NONE_IS_GOOD, PERCENT, PER_SECOND, SECONDS, SHARE,
    Column, Page, bars, choice_variable, datasource_variable, graph, link, number, query_variable, rows,
)

# In seconds, so that it can be reckoned with.
WINDOWS = [("15 minutes", "900"), ("30 minutes", "1800"), ("1 hour", "3600"), ("3 hours", "10800"), ("12 hours", "43200")]


def window_variable():
    """How long ago the tables of objects compare with."""
    return choice_variable("window", "Compare with", "How long ago the tables of objects compare with", WINDOWS, "1800")


def job_variable(multi=True):
    """The jobs, by name; what is chosen is the id."""
    query = f"query_result({queries.names(of='')})"
    description = "The DRS job, by its name where DRS has told it"
    regex = '/name="(?<text>[^"]+)"|job="(?<value>[^"]+)"/g'
    return query_variable("job", "Job", description, query, multi, regex)


def type_variable():
    """The types of objects."""
    query = f"label_values(drs_objects{{{queries.JOB}}}, type)"
    return query_variable("type", "Type", "What kind of objects: tables, views, procedures and so on", query)


def page():
    """The whole page."""
    to_job = dashboard.DashboardLink("One job").url("/d/drs-job/drs-job?var-datasource=${datasource}").type(model.DashboardLinkType.LINK)
    page = Page(
        "DRS migrations", "drs-migrations",
        "All migrations on Huawei Cloud DRS that drs-exporter follows: what moves, what is stuck, when it is done.",
        [datasource_variable(), job_variable(), type_variable(), window_variable()],
        [to_job.keep_time(True).tooltip("One job, down to a single object")],
    )
    page.line(4, *[(4, panel) for panel in [*tables.headline(), tables.oldest_data(), failing_jobs()]])
    page.line(9, (24, tables.jobs()))
    page.line(9, (8, progress_by_type()), (16, progress_by_job()))
    page.line(8, (12, tables.states_over_time()), (12, time_left_by_job()))
    page.heading("Objects")
    page.line(9, (24, tables.stalled_objects()))
    page.line(9, (24, tables.slowest_objects()))
    page.heading("Errors")
    page.line(8, (12, errors_by_code()), (12, errors_by_job()))
    page.line(7, (12, age_by_job()), (12, tables.regressions()))
    page.collapsed("The exporter", *exporter())
    return page


def failing_jobs():
    """Who gets woken up."""
    status = queries.latest("job", "drs_job_status", ',status=~".*FAILED"', of=queries.JOB)
    known = queries.of_job("drs_job_status")
    return number(
        "Failing jobs",
        "Failed: DRS says that the job has failed. Not read: the last poll of at least one of its types brought nothing.",
        {
            "failed": queries.total(f"{status} or 0 * {known}"),
            "not read": queries.total(f"{queries.unreadable('job')} > bool 0"),
        },
        COUNT, NONE_IS_GOOD, tables.NO_NUMBER,
    )


def progress_by_type():
    """How far each type is."""
    return bars(
        "Progress by type",
        "Mean percent of all objects of a type, over the chosen jobs.",
        f"sort_desc({queries.progress('type')})", "{{type}}", tables.NOTHING,
    )


def progress_by_job():
    """How each job goes on."""
    return graph(
        "Progress by job",
        "Mean percent of all objects of a job. A flat line below 100 is a job that does not move; a gap is a time without "
        "fresh data.",
        [(queries.named(queries.progress("job")), "{{name}}")],
        PERCENT, tables.NOTHING, maximum=100, links=[link("Look at this job", tables.TO_JOB % "__field.labels")],
    )


def time_left_by_job():
    """Whether the end comes nearer."""
    return graph(
        "Time left by job",
        "At the recent pace, for the type of the job that takes longest. No line where it cannot be known: nothing moves, "
        "or less than 1 percent is done.",
        [(queries.named(f"max by (job) ({queries.per_type('drs_eta_seconds')})"), "{{name}}")],
        SECONDS, "Not known: nothing moves, or it has just begun",
    )


def errors_by_code():
    """What the cloud refuses."""
    return graph(
        "Errors by code",
        "Requests that failed, by DRS's error code, or by what went wrong where there is none. Each bar counts the time "
        "just before it.",
        [(queries.new("drs_api_errors_total", "error_code", "$__rate_interval"), "{{error_code}}")],
        COUNT, tables.NO_ERROR, as_bars=True, by_name=True,
    )


def errors_by_job():
    """Whom the errors hit."""
    return rows(
        "Errors by job",
        "Requests that failed in the whole time that is looked at, by job and error code.",
        [f"sort_desc({queries.named(queries.new('drs_api_errors_total', 'job, error_code', '$__range') + ' > 0')})"],
        [
            Column("name", "Job", links=tables.JOB_LINK),
            Column("error_code", "Error code"),
            Column("Value", "Errors", COUNT, width=110, decimals=0),
            Column("job", "Job id"),
        ],
        tables.NO_ERROR, sort="Errors", descending=True,
    )


def age_by_job():
    """Whether a job is still heard of."""
    return graph(
        "Age of the data by job",
        "The age of the oldest listing of a job, by DRS's own clock. It climbs while polls fail. Types that are done are polled "
        "every ten minutes.",
        [(queries.named(queries.age(queries.data_time(), "job")), "{{name}}")],
        SECONDS, tables.NOTHING,
    )


def exporter():
    """The exporter itself, of all accounts."""
    rate = "$__rate_interval"
    requests = f"sum by (operation) (rate(drs_api_request_duration_seconds_count[{rate}])) > 0"
    buckets = f"sum by (operation, le) (rate(drs_api_request_duration_seconds_bucket[{rate}]))"
    ours = "and on (job, instance) drs_exporter_build_info"
    nothing = "No data: Prometheus has scraped no exporter"
    yield (
        6,
        (6, number(
            "Exporters",
            "Running exporters, by version.",
            {"{{version}}": "count by (version) (drs_exporter_build_info)"}, COUNT, [(None, "blue")], nothing,
            text_mode=common_model.BigValueTextMode.VALUE_AND_NAME,
        )),
        (6, number(
            "Lists of jobs",
            "Whether the last list of an account's jobs was to be had, where jobs are discovered.",
            {"{{account}}": "min by (account) (drs_discovery_success)"}, COUNT, [(None, "red"), (1, "green")],
            "No account discovers jobs, or no data", text_mode=common_model.BigValueTextMode.VALUE_AND_NAME,
            mappings=[model.ValueMap(options={
                "0": model.ValueMappingResult(text="Failed", color="red", index=0),
                "1": model.ValueMappingResult(text="Good", color="green", index=1),
            })],
        )),
        (6, number(
            "Log-in ends in",
            "How long the token or temporary key in use is still good. The exporter renews it in time.",
            {"{{account}}": "max by (account) (drs_auth_expiry_timestamp_seconds) - time()"}, SECONDS,
            [(None, "red"), (60, "green")], "No token or key ends, or no data",
            text_mode=common_model.BigValueTextMode.VALUE_AND_NAME,
        )),
        (6, number(
            "Polls left out",
            "Polls that were due in the time that is looked at while the one before was still running. If there are many, "
            "raise requests_per_second or the interval.",
            queries.grown("drs_polls_skipped_total", "$__range"), COUNT, [(None, "green"), (1, "yellow")], tables.NO_NUMBER,
            decimals=0,
        )),
    )
    yield (
        8,
        (12, graph(
            "Requests",
            "Requests to the cloud a second, each attempt, by what was asked and how it was answered.",
            [(f"sum by (operation, status) (rate(drs_api_requests_total[{rate}]))", "{{operation}} {{status}}")],
            PER_SECOND, nothing,
        )),
        (12, graph(
            "Duration of requests",
            "95 of 100 requests took less than this.",
            [(f"histogram_quantile(0.95, {buckets} and on (operation) {requests})", "{{operation}}")], SECONDS, nothing,
        )),
    )
    yield (
        8,
        (12, graph(
            "Waiting for the budget",
            "Seconds that requests have waited for the account's budget, in each second. Above zero, the budget is the "
            "bottleneck.",
            [(f"sum by (account) (rate(drs_api_budget_wait_seconds_total[{rate}]))", "{{account}}")], SECONDS, nothing,
        )),
        (12, graph(
            "Log-ins",
            "Tokens and temporary keys that were asked for. A key that is refused too often is locked by the cloud.",
            [(queries.new("drs_auth_renewals_total", "account, outcome", rate, of=""), "{{account}} {{outcome}}")],
            COUNT, "No log-in in this time, or no data", as_bars=True,
        )),
    )
    yield (
        8,
        (12, graph(
            "Polls by outcome",
            "Polls of a job and type, by how they ended.",
            [(queries.new("drs_polls_total", "outcome", rate), "{{outcome}}")], COUNT, tables.NOTHING, as_bars=True,
            colors={"success": "green", "error": "red"},
        )),
        (12, graph(
            "Duration of polls",
            "How long the slowest poll of each type took.",
            [(f"max by (type) ({queries.per_type('drs_poll_duration_seconds')})", "{{type}}")], SECONDS, tables.NOTHING,
        )),
    )
    yield (
        8,
        (8, graph(
            "Memory", "Resident memory of each exporter.",
            [(f"process_resident_memory_bytes {ours}", "{{instance}}")], BYTES, nothing,
        )),
        (8, graph(
            "CPU", "CPU time that each exporter takes; 100 percent is one core.",
            [(f"rate(process_cpu_seconds_total[{rate}]) {ours}", "{{instance}}")], SHARE, nothing,
        )),
        (8, graph(
            "Open files", "Open file descriptors of each exporter.",
            [(f"process_open_fds {ours}", "{{instance}}")], COUNT, nothing,
        )),
    )
