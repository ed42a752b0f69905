// Draws what is inside a panel, by its type, with Grafana's own components.

import {
  type DataFrame,
  type FieldDisplay,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  type GrafanaTheme2,
  renderTextPanelMarkdown,
  textUtil,
  type TimeRange,
  VizOrientation,
} from '@grafana/data';
import {
  BarGauge,
  BarGaugeDisplayMode,
  BigValue,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  LegendDisplayMode,
  TimeSeries,
  VizRepeater,
} from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { type ReactElement } from 'react';
import { fieldConfigOf } from './fields';
import type { Panel } from './model';
import type { Variables } from './variables';

/** A panel with its data, ready to be drawn. */
export interface Loaded {
  panel: Panel;
  frames: DataFrame[];
  range: TimeRange;
  variables: Variables;
  theme: GrafanaTheme2;
}

interface Area {
  width: number;
  height: number;
}

type Draw = (loaded: Loaded, area: Area) => ReactElement;

/** How each type of panel is drawn; a type that is not here is a failure. A row has nothing inside. */
export const DRAW: Record<string, Draw> = { stat, bargauge, timeseries, table, text };

export function isEmpty({ panel, frames }: Loaded): boolean {
  return panel.type !== 'text' && panel.type !== 'row' && frames.every(({ length }) => length === 0);
}

function stat(loaded: Loaded, area: Area) {
  const { options = {} } = loaded.panel;
  const graphMode = options.graphMode ?? BigValueGraphMode.Area;
  const values = displayValues(loaded, graphMode !== BigValueGraphMode.None);
  return (
    <VizRepeater<FieldDisplay, ReturnType<typeof getDisplayValueAlignmentFactors>>
      {...area}
      source={values}
      renderCounter={0}
      autoGrid
      orientation={options.orientation ?? VizOrientation.Auto}
      getValues={() => values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, alignmentFactors, count }) => (
        <BigValue
          value={value.display}
          sparkline={value.sparkline}
          count={count}
          width={width}
          height={height}
          alignmentFactors={alignmentFactors}
          theme={loaded.theme}
          colorMode={options.colorMode ?? BigValueColorMode.Value}
          graphMode={graphMode}
          justifyMode={options.justifyMode ?? BigValueJustifyMode.Auto}
          textMode={options.textMode ?? BigValueTextMode.Auto}
          text={options.text}
          disableWideLayout={options.wideLayout === false}
        />
      )}
    />
  );
}

function bargauge(loaded: Loaded, area: Area) {
  const { options = {} } = loaded.panel;
  const values = displayValues(loaded, false);
  return (
    <VizRepeater<FieldDisplay, ReturnType<typeof getDisplayValueAlignmentFactors>>
      {...area}
      source={values}
      renderCounter={0}
      orientation={options.orientation ?? VizOrientation.Auto}
      minVizWidth={options.minVizWidth ?? 8}
      minVizHeight={options.minVizHeight ?? 16}
      maxVizHeight={options.maxVizHeight ?? 300}
      itemSpacing={options.displayMode === BarGaugeDisplayMode.Lcd ? 2 : 10}
      getValues={() => values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, orientation, alignmentFactors }) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex!)}
          width={width}
          height={height}
          orientation={orientation}
          alignmentFactors={alignmentFactors}
          theme={loaded.theme}
          displayMode={options.displayMode ?? BarGaugeDisplayMode.Gradient}
          showUnfilled={options.showUnfilled ?? true}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          text={options.text}
        />
      )}
    />
  );
}

/** One value of each series, or each value of a table, as the panel wishes. */
function displayValues({ panel, frames, variables, theme }: Loaded, sparkline: boolean): FieldDisplay[] {
  const { calcs = [], ...reduce } = panel.options?.reduceOptions ?? {};
  return getFieldDisplayValues({
    data: frames,
    fieldConfig: fieldConfigOf(panel),
    reduceOptions: { ...reduce, calcs: calcs.length > 0 ? calcs : ['lastNotNull'] },
    replaceVariables: (text) => variables.inText(text),
    sparkline,
    theme,
    timeZone: 'utc',
  });
}

function timeseries(loaded: Loaded, area: Area) {
  if (isEmpty(loaded)) {
    return <NoData {...loaded} />;
  }
  const legend = loaded.panel.options?.legend;
  return (
    <TimeSeries
      {...area}
      frames={loaded.frames}
      structureRev={1}
      timeRange={loaded.range}
      timeZone="utc"
      legend={{ displayMode: LegendDisplayMode.List, placement: 'bottom', showLegend: true, calcs: [], ...legend }}
      options={loaded.panel.options}
    />
  );
}

function table(loaded: Loaded, area: Area) {
  const { panel, frames, range } = loaded;
  const frame = frames[panel.options?.frameIndex ?? 0];
  if (!frame || frame.length === 0) {
    return <NoData {...loaded} />;
  }
  return (
    <TableNG
      {...area}
      data={frame}
      structureRev={1}
      timeRange={range}
      noHeader={panel.options?.showHeader === false}
      cellHeight={panel.options?.cellHeight}
      sortBy={panel.options?.sortBy}
      fieldConfig={fieldConfigOf(panel)}
      noValue={panel.fieldConfig?.defaults?.noValue}
      getActions={() => []}
    />
  );
}

function text({ panel, variables }: Loaded) {
  const content = variables.inText(panel.options?.content ?? '');
  if (panel.options?.mode === 'code') {
    return <pre>{content}</pre>;
  }
  const html = panel.options?.mode === 'html' ? textUtil.sanitizeTextPanelContent(content) : renderTextPanelMarkdown(content);
  return <div className="markdown-html" dangerouslySetInnerHTML={{ __html: html }} />;
}

function NoData({ panel, theme }: Loaded) {
  const style = { height: '100%', display: 'grid', placeItems: 'center', color: theme.colors.text.secondary };
  return <div style={style}>{panel.fieldConfig?.defaults?.noValue ?? 'No data'}</div>;
}
