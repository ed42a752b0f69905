// The page: a head with title, range and variables, and below it the panels, each in its place on Grafana's grid.

import { type GrafanaTheme2, rangeUtil, type TimeRange } from '@grafana/data';
import { Icon, InlineLabel, PanelChrome } from '@grafana/ui';
import { type CSSProperties } from 'react';
import type { Dashboard, Panel } from './model';
import { DRAW, type Loaded } from './panels';
import { type Variables, words } from './variables';

const COLUMNS = 24;
const CELL_HEIGHT = 30;
/** Between panels, and around all of them. */
const MARGIN = 8;
const HIDE_ALL = 2;

interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Where a panel is on a page of this width. */
export function box({ gridPos: { x, y, w, h } }: Panel, pageWidth: number): Box {
  const column = (pageWidth - MARGIN) / COLUMNS;
  const row = CELL_HEIGHT + MARGIN;
  return { left: MARGIN + x * column, top: y * row, width: w * column - MARGIN, height: h * row - MARGIN };
}

interface Props {
  dashboard: Dashboard;
  panels: Loaded[];
  range: TimeRange;
  variables: Variables;
  theme: GrafanaTheme2;
  width: number;
}

export function Page({ panels, width, theme, ...head }: Props) {
  const boxes = panels.map(({ panel }) => box(panel, width));
  const height = Math.max(0, ...boxes.map((box) => box.top + box.height)) + MARGIN;
  return (
    <div style={{ width, background: theme.colors.background.canvas }}>
      <Head {...head} />
      <div style={{ position: 'relative', height }}>
        {panels.map((loaded, number) => (
          <div key={number} style={{ position: 'absolute', ...boxes[number] }}>
            {loaded.panel.type === 'row' ? <Row {...loaded} /> : <Framed loaded={loaded} box={boxes[number]} />}
          </div>
        ))}
      </div>
    </div>
  );
}

function Head({ dashboard, range, variables }: Pick<Props, 'dashboard' | 'range' | 'variables'>) {
  const line: CSSProperties = { display: 'flex', alignItems: 'center', gap: MARGIN, padding: MARGIN };
  const shown = variables.chosen.filter(({ variable }) => variable.hide !== HIDE_ALL && variable.type !== 'constant');
  return (
    <>
      <div style={{ ...line, justifyContent: 'space-between' }}>
        <h4 style={{ margin: 0 }}>{dashboard.title}</h4>
        <span style={{ display: 'flex', alignItems: 'center', gap: MARGIN / 2 }}>
          <Icon name="clock-nine" /> {rangeUtil.describeTimeRange(range.raw, 'utc')} UTC
        </span>
      </div>
      {shown.length > 0 && (
        <div style={{ ...line, paddingTop: 0 }}>
          {shown.map((chosen) => (
            <span key={chosen.variable.name} style={{ display: 'flex' }}>
              <InlineLabel width="auto">{chosen.variable.label || chosen.variable.name}</InlineLabel>
              <InlineLabel width="auto" transparent>
                {words(chosen)} <Icon name="angle-down" />
              </InlineLabel>
            </span>
          ))}
        </div>
      )}
    </>
  );
}

function Row({ panel, variables }: Loaded) {
  return (
    <h6 style={{ display: 'flex', alignItems: 'center', gap: MARGIN / 2, height: '100%', margin: 0 }}>
      <Icon name={panel.collapsed ? 'angle-right' : 'angle-down'} /> {variables.inText(panel.title ?? '')}
    </h6>
  );
}

function Framed({ loaded, box: { width, height } }: { loaded: Loaded; box: Box }) {
  const { panel, variables } = loaded;
  return (
    <PanelChrome
      width={width}
      height={height}
      title={variables.inText(panel.title ?? '')}
      description={panel.description}
      displayMode={panel.transparent ? 'transparent' : 'default'}
    >
      {(innerWidth, innerHeight) => DRAW[panel.type](loaded, { width: innerWidth, height: innerHeight })}
    </PanelChrome>
  );
}
