"""What is asked of Prometheus, in the pieces that the panels share.

Each metric is first brought to the labels that it has by itself (`max by`), so that a pod which moves, and its new
`instance`, counts neither twice nor as something new.
"""

JOB = 'job=~"$job"'
JOB_TYPE = 'job=~"$job",type=~"$type"'
OBJECT = "job, type, src_db, src_tb, dst_db, dst_tb"


def latest(by, metric, more="", of=JOB_TYPE):
    """A gauge, whichever instance served it."""
    return f"max by ({by}) ({metric}{{{of}{more}}})"


def per_type(metric):
    """A gauge of each job and type."""
    return latest("job, type", metric)


def of_job(metric):
    """A gauge of each job as a whole."""
    return latest("job", metric, of=JOB)


OBJECTS = per_type("drs_objects")


def total(expr, by=None):
    """A sum over all, or by labels."""
    return f"sum by ({by}) ({expr})" if by else f"sum({expr})"


def progress(by=None):
    """Percent done, each object counting once."""
    return f"{total(per_type('drs_progress_average') + ' * ' + OBJECTS, by)} / ({total(OBJECTS, by)} > 0)"


def in_state(matcher, by=None):
    """How many objects are in some of the states."""
    return total(latest("job, type, state", "drs_objects_by_state", f",state{matcher}"), by)


def left(by=None):
    """How many objects are not done."""
    return in_state('!="completed"', by)


def stalled(by=None):
    """How many objects stand still."""
    return in_state('="stalled"', by)


def time_left(by=None):
    """The longest time left that is known; none is left where all objects are done."""
    longest = f"max by ({by})" if by else "max"
    return f"{longest} ({per_type('drs_eta_seconds')}) or {left(by)} == 0"


def data_time():
    """When DRS made the data. Where that was let go because it was too old: when it was last to be had."""
    return f"{per_type('drs_data_timestamp_seconds')} or {per_type('drs_poll_last_success_timestamp_seconds')}"


def age(moments, by=None):
    """The time since the first of these moments."""
    return f"time() - min by ({by}) ({moments})" if by else f"time() - min({moments})"


def unreadable(by=None):
    """How many types of a job could not be polled, 0 included."""
    return total(f"{per_type('drs_poll_success')} == bool 0", by)


def status():
    """The last state of each job, as a label."""
    return f"topk by (job) (1, max by (job, status) (timestamp(drs_job_status{{{JOB}}})))"


def names(of=JOB):
    """1 for each job of the time that is looked at, with its last name; where DRS has told none, its id."""
    info = f'drs_job_info{{{of + "," if of else ""}name!=""}}'
    polled = f"drs_poll_duration_seconds{{{of}}}" if of else "drs_poll_duration_seconds"
    named = f"topk by (job) (1, max by (job, name) (last_over_time({info}[$__range])))"
    return f'{named} or on (job) label_join(group by (job) (last_over_time({polled}[$__range])), "name", "", "job")'


def named(expr):
    """The same, with the name of each job beside its id."""
    return f"({expr}) * on (job) group_left (name) ({names()})"


def new(metric, by, window, of=JOB_TYPE):
    """How much a counter of what is rare grew. A series that begins with its first event has no increase yet, so what it
    begins with counts as well."""
    counter = f"{metric}{{{of}}}" if of else metric
    return f"sum by ({by}) (({counter} unless {counter} offset {window}) or increase({counter}[{window}]))"


def grown(metric, window):
    """How much a counter grew that is there from 0."""
    return total(f"increase({metric}{{{JOB_TYPE}}}[{window}])")


# The choice of a window is in seconds, so that it can be reckoned with.
WINDOW = "${window}s"


class Objects:
    """Single objects, of all or of those that are chosen."""

    def __init__(self, chosen=""):
        self.now = latest(OBJECT, "drs_object_progress", chosen)
        selected = f"drs_object_progress{{{JOB_TYPE}{chosen}}}"
        self.before = f"max by ({OBJECT}) ({selected} offset {WINDOW})"
        self.at_the_end = f"max by ({OBJECT}) ({selected} @ end())"

    def standing_still(self, most):
        """Between 1 and 99 now, and the same a while ago: what still waits at 0 is not stuck. Only where the exporter has seen
        it stand: while polls fail, everything is where it was."""
        seen = latest("job, type", "drs_objects_by_state", ',state="stalled"')
        return f"bottomk({most}, ({self.now} > 0 < 100 == {self.before}) and on (job, type) ({seen} > 0))"

    def slowest(self, most):
        """Percents gained by those that have moved all the while."""
        return f"bottomk({most}, ({self.now} < 100) - ({self.before} > 0) > 0)"

    def slowest_now(self, most):
        """Where the slowest are."""
        return f"{self.now} and {self.slowest(most)}"

    def slowest_left(self, most):
        """How long the slowest take from here, if they go on like this."""
        return f"(100 - {self.now}) / ({self.slowest(most)}) * $window"

    def furthest_behind(self, most):
        """Those with the lowest percents."""
        return f"bottomk({most}, {self.now})"

    def course(self, most):
        """How the objects came to where they are: those that are furthest behind at the end."""
        return f"{self.now} and bottomk({most}, {self.at_the_end})"
