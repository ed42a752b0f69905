// Reads what is to be drawn, asks for the data of all panels, draws them at once, and says in `window.outcome` how it went.

import { createTheme, type DataFrame, rangeUtil, ThemeContext, type TimeRange } from '@grafana/data';
import { GlobalStyles } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { configured, transformed } from './fields';
import type { Input, Panel } from './model';
import { box, Page } from './page';
import { DRAW, isEmpty, type Loaded } from './panels';
import { query, span } from './prometheus';
import { Variables } from './variables';

declare global {
  interface Window {
    outcome?: { failures: string[]; panels: Array<{ title: string; empty: boolean }> };
  }
}

/** Errors while drawing arrive here and nowhere else. */
window.addEventListener('error', ({ message }) => giveUp([message]));
draw().catch((error) => giveUp([String(error.message ?? error)]));

async function draw() {
  const input: Input = await (await fetch('/input.json')).json();
  const { dashboard } = input;
  const theme = createTheme({ colors: { mode: input.theme } });
  const range = timeRange(input);
  const width = document.documentElement.clientWidth;
  const variables = await Variables.load(dashboard, input.variables, span(range, width, input.scrapeInterval));

  const load = async (panel: Panel): Promise<Loaded> => {
    const frames = await data(panel, input, range, variables, width);
    return { panel, frames: configured(panel, frames, variables, theme), range, variables, theme };
  };
  const tried = await Promise.allSettled((dashboard.panels ?? []).map(load));
  const failures = tried.flatMap((one, number) =>
    one.status === 'rejected' ? [`${titleOf(dashboard.panels![number])}: ${one.reason.message}`] : [],
  );
  if (failures.length > 0) {
    giveUp(failures);
    return;
  }
  const panels = tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));

  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Page {...{ dashboard, panels, range, variables, theme, width }} />
    </ThemeContext.Provider>,
  );
  await settled();
  window.outcome ??= {
    failures: [],
    panels: panels.map((loaded) => ({ title: titleOf(loaded.panel), empty: isEmpty(loaded) })),
  };
}

function giveUp(failures: string[]) {
  window.outcome = { failures, panels: [] };
}

function titleOf(panel: Panel): string {
  return panel.title || `a panel of type ${panel.type}`;
}

function timeRange({ dashboard, from }: Input): TimeRange {
  const saved = dashboard.time ?? { from: 'now-6h', to: 'now' };
  const range = rangeUtil.convertRawToRange(from ? { from, to: 'now' } : saved, 'utc');
  if (!range.from.isValid() || !range.to.isValid()) {
    throw new Error(`no time range: ${from ?? `${saved.from} to ${saved.to}`}`);
  }
  return range;
}

/** What the panel's queries answer, after its transformations. */
async function data(panel: Panel, input: Input, range: TimeRange, variables: Variables, pageWidth: number): Promise<DataFrame[]> {
  if (panel.type !== 'row' && !DRAW[panel.type]) {
    throw new Error(`the panel type ${panel.type} is not known here`);
  }
  if (panel.repeat) {
    throw new Error('repeated panels are not known here');
  }
  const targets = (panel.targets ?? []).filter(({ hide }) => !hide);
  const alone = targets.filter(({ format }) => format === 'table').length === 1;
  const frames = targets.map((target) => {
    if (!target.expr) {
      throw new Error(`query ${target.refId} has no expression`);
    }
    const points = panel.maxDataPoints || box(panel, pageWidth).width;
    const asked = span(range, points, input.scrapeInterval, target.interval || panel.interval || undefined);
    return query(target, variables.inQuery(target.expr, asked), asked, alone);
  });
  return transformed(panel, (await Promise.all(frames)).flat(), variables);
}

/** Graphs are drawn in the frames after React is done. */
async function settled() {
  for (let frame = 0; frame < 10; frame += 1) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}
