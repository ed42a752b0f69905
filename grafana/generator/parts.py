"""What both pages are made of: panels, variables and links as we like them, on Grafana's SDK."""

import json

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import bargauge as bargauge_model
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

# Units, as Grafana names them.
PERCENT, SHARE, SECONDS, COUNT, BYTES, PER_SECOND = "percent", "percentunit", "s", "locale", "bytes", "reqps"

# What is good or bad from which value on. The first colour holds below everything.
ALWAYS_BLUE = [(None, "blue")]
DONE_AT_100 = [(None, "blue"), (100, "green")]
NONE_IS_GOOD = [(None, "green"), (1, "red")]
LEFT = [(None, "green"), (1, "blue")]
# Settled objects are polled every ten minutes, and what comes later than a quarter of an hour is late for everybody.
AGE = [(None, "green"), (900, "yellow"), (1800, "red")]


def thresholds(steps):
    """Values and colours as Grafana wants them."""
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in steps])
    )


def color(mode):
    """Where a panel takes its colours from."""
    return dashboard.FieldColor().mode(mode)


def target(expr, legend=None, ref="A", instant=False, as_table=False):
    """A query."""
    query = prometheus.Dataquery().datasource(DATASOURCE).expr(expr).ref_id(ref)
    if legend:
        query = query.legend_format(legend)
    if as_table:
        query = query.format("table")
    return query.instant() if instant or as_table else query.range()


def finished(panel, title, description, unit, no_value):
    """What every panel says of itself."""
    return panel.title(title).description(description).unit(unit).no_value(no_value).datasource(DATASOURCE)


def number(title, description, queries, unit, steps, no_value, mappings=None, decimals=None, text_mode=None):
    """A number to see from afar. `queries` is an expression, or expressions by what they are called."""
    panel = finished(stat.Panel(), title, description, unit, no_value)
    if isinstance(queries, str):
        queries = {title: queries}
    for ref, (legend, expr) in zip("ABC", queries.items()):
        panel = panel.with_target(target(expr, legend, ref, instant=True))
    if mappings:
        panel = panel.mappings(mappings)
    if decimals is not None:
        panel = panel.decimals(decimals)
    mode = text_mode or (
        common_model.BigValueTextMode.VALUE_AND_NAME if len(queries) > 1 else common_model.BigValueTextMode.VALUE
    )
    return (
        panel.thresholds(thresholds(steps))
        .color_scheme(color(model.FieldColorModeId.THRESHOLDS))
        .color_mode(common_model.BigValueColorMode.VALUE)
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .text_mode(mode)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    )


def bars(title, description, expr, legend, no_value):
    """Percents beside each other."""
    return (
        finished(bargauge.Panel(), title, description, PERCENT, no_value)
        .with_target(target(expr, legend, instant=True))
        .min(0)
        .max(100)
        .decimals(1)
        .thresholds(thresholds(DONE_AT_100))
        .color_scheme(color(model.FieldColorModeId.THRESHOLDS))
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    )


def graph(
    title, description, queries, unit, no_value,
    stacked=False, as_bars=False, maximum=None, colors=None, by_name=False, links=None,
):
    """Lines over time. `queries` are pairs of an expression and what to call its series."""
    panel = finished(timeseries.Panel(), title, description, unit, no_value)
    for ref, (expr, legend) in zip("ABC", queries):
        panel = panel.with_target(target(expr, legend, ref))
    panel = (
        panel.color_scheme(
            color(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME if by_name else model.FieldColorModeId.PALETTE_CLASSIC)
        )
        .thresholds(thresholds(ALWAYS_BLUE))
        .min(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_model.LegendDisplayMode.LIST)
            .placement(common_model.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
        .fill_opacity(70 if as_bars or stacked else 5)
        .line_width(1 if as_bars or stacked else 2)
        .show_points(common_model.VisibilityMode.AUTO)
        .draw_style(common_model.GraphDrawStyle.BARS if as_bars else common_model.GraphDrawStyle.LINE)
    )
    if maximum is not None:
        panel = panel.max(maximum)
    if stacked or as_bars:
        panel = panel.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL).group("A"))
    if links:
        panel = panel.data_links(links)
    for name, fixed in (colors or {}).items():
        properties = [model.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": fixed})]
        panel = panel.override_by_name(name, properties)
    return panel


class Column:
    """A column of a table: the field it comes from and how it looks."""

    def __init__(self, field, name, unit=None, width=None, steps=None, links=None, bar=False, decimals=None, mappings=None):
        # A cell without a value must not tell the whole story of an empty panel.
        properties = {"noValue": "–"}
        # Values are renamed. Labels keep their names, by which links ask for them, and only look different.
        self.renamed = name if field.startswith("Value") else field
        if self.renamed == field:
            properties["displayName"] = name
        if unit:
            properties["unit"] = unit
        if decimals is not None:
            properties["decimals"] = decimals
        if width:
            properties["custom.width"] = width
        if bar:
            steps = DONE_AT_100
            properties |= {"min": 0, "max": 100}
        if steps:
            properties["thresholds"] = {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in steps]}
            properties["color"] = {"mode": "thresholds"}
            properties["custom.cellOptions"] = {"type": "gauge", "mode": "basic"} if bar else {"type": "color-text"}
        if links:
            properties["links"] = links
        if mappings:
            properties["mappings"] = mappings
        self.field = field
        self.properties = [model.DynamicConfigValue(id_val=key, value=value) for key, value in properties.items()]


def rows(title, description, queries, columns, no_value, hidden=(), sort=None, descending=False):
    """A table. Several queries are joined by the labels that all of them have; `hidden` fields are left out."""
    panel = finished(table.Panel(), title, description, COUNT, no_value).thresholds(thresholds(ALWAYS_BLUE))
    for ref, expr in zip("ABCDEFGHIJ", queries):
        panel = panel.with_target(target(expr, ref=ref, as_table=True))
    if len(queries) > 1:
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    options = {
        "excludeByName": {field: True for field in ["Time", *hidden]},
        "indexByName": {column.field: place for place, column in enumerate(columns)},
        "renameByName": {column.field: column.renamed for column in columns if column.field != column.renamed},
    }
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=options))
    for column in columns:
        panel = panel.override_by_name(column.renamed, column.properties)
    if sort:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    return panel.show_header(True).cell_height(common_model.TableCellHeight.SM)


def link(title, path):
    """A link of a value to another page."""
    return dashboard.DashboardLink(title).url(path)


def data_link(title, url):
    """A link of a value, as an override holds it."""
    return {"title": title, "url": url}


def option(text, value=None):
    """What a variable is set to."""
    return model.VariableOption(selected=True, text=text, value=text if value is None else value)


def datasource_variable():
    """The Prometheus to ask."""
    return dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def query_variable(name, label, description, query, multi=True, regex=None, everything=".+"):
    """Values that Prometheus has in the time that is looked at."""
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
        .multi(multi)
        .include_all(multi)
    )
    if multi:
        variable = variable.all_value(everything).current(option(["All"], ["$__all"]))
    return variable.regex(regex) if regex else variable


def choice_variable(name, label, description, choices, chosen):
    """One of a few values: `choices` are pairs of a text and a value."""
    return (
        dashboard.CustomVariable(name)
        .label(label)
        .description(description)
        .values(", ".join(f"{text} : {value}" for text, value in choices))
        .options([model.VariableOption(selected=value == chosen, text=text, value=value) for text, value in choices])
        .current(next(option(text, value) for text, value in choices if value == chosen))
    )


class Page:
    """A dashboard that grows downwards."""

    def __init__(self, title, uid, description, variables, links):
        self.builder = (
            dashboard.Dashboard(title)
            .uid(uid)
            .description(description)
            .tags(["drs"])
            .readonly()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .time("now-6h", "now")
            .refresh("1m")
            .timezone("browser")
        )
        for variable in variables:
            self.builder = self.builder.with_variable(variable)
        for one in links:
            self.builder = self.builder.link(one)
        self.y = 0

    def line(self, height, *panels):
        """Panels side by side, each with its width; 24 fill the line."""
        for panel in self._placed(height, panels):
            self.builder = self.builder.with_panel(panel)

    def heading(self, title):
        """A row that holds what follows it."""
        row = dashboard.Row(title).collapsed(False).grid_pos(model.GridPos(x=0, y=self.y, w=24, h=1))
        self.builder = self.builder.with_row(row)
        self.y += 1

    def collapsed(self, title, *lines):
        """A closed row with lines, each of a height and its panels."""
        row = dashboard.Row(title).grid_pos(model.GridPos(x=0, y=self.y, w=24, h=1))
        self.y += 1
        for height, *panels in lines:
            for panel in self._placed(height, panels):
                row = row.with_panel(panel)
        self.builder = self.builder.with_row(row)

    def _placed(self, height, panels):
        x = 0
        for width, panel in panels:
            yield panel.grid_pos(model.GridPos(x=x, y=self.y, w=width, h=height))
            x += width
        assert x == 24, f"a line is {x} wide"
        self.y += height

    def json(self):
        """The page as Grafana reads it, without what the SDK leaves behind."""
        page = json.loads(JSONEncoder(sort_keys=True).encode(self.builder.build()))
        ids = iter(range(1, 1000))
        for panel in page["panels"]:
            panel["id"] = next(ids)
            for inner in panel.get("panels") or []:
                inner["id"] = next(ids)
        for variable in page["templating"]["list"]:
            # These belong to a variable for intervals, of which there is none.
            for stray in ("auto", "auto_count", "auto_min"):
                del variable[stray]
        page["annotations"] = {"list": []}
        return json.dumps(page, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
